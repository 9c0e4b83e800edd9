// What the colour of a token tells, as the reader chose: its probability or its rank.

import { recall, remember } from "../base/remember.js";
import { touchAll } from "../base/watched.js";
import { surprisal } from "./step.js";

const LEVELS = 9;
const KEY = "colouring";
// The rank from which on a token has the strongest colour.
const LOWEST_RANK = 1000;

export const COLOURINGS = ["probability", "rank"];

let chosen = COLOURINGS.includes(recall(KEY)) ? recall(KEY) : COLOURINGS[0];

/** What tokens are coloured by: "probability" or "rank". */
export const colouring = () => chosen;

export function chooseColouring(name) {
  chosen = name;
  remember(KEY, name);
  touchAll("colouring");
}

/** 0 for a token that was no surprise, LEVELS for one of 4.3 bits or more (1 in 20). */
export function surpriseLevel(surprisalBits) {
  return Math.round(LEVELS * Math.min(1, Math.max(0, (surprisalBits - 0.3) / 4)));
}

/** 0 for the model's favourite, LEVELS for a rank of 1,000 or beyond. */
export function rankLevel(rank) {
  return Math.round(LEVELS * Math.min(1, Math.log(rank) / Math.log(LOWEST_RANK)));
}

/** How strongly a step is coloured, 0 to LEVELS: the number in its class `d…`. */
export function levelOf(step, by = chosen) {
  return by === "rank" ? rankLevel(step.r) : surpriseLevel(surprisal(step));
}
