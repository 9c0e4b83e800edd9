// What can be said of one step alone.

/** @import { Candidate, Step } from "./frame.js" */

/** @returns {Candidate | undefined} the step's own token among its candidates */
export const own = (step) => step.c.find(([id]) => id === step.id);

/** Of the chosen token, in bits; a token the model held impossible has no number on the wire. */
export const surprisal = ({ lp }) => (lp === null ? Infinity : Math.max(0, -lp / Math.LN2));

/** The token as a sign where it released no text: its bytes as the candidates spell them. */
export const pieceOf = (step) => own(step)?.[1] || step.k || "∅";
