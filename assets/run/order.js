// How a run is to go on: what may be ordered, and the order itself.

import { precisionOf } from "./config.js";

const inWords = (model) => `${model.name} (${precisionOf(model)})`;

/** The model that made a run, and the one that is loaded, where they are not the same; or null. */
export function otherModel({ model, loaded }) {
  if (!model || !loaded || inWords(model) === inWords(loaded)) return null;
  return { before: inWords(model), now: inWords(loaded) };
}

/** Whether a run can be taken elsewhere now. */
export const canFork = (run) =>
  run.live && run.id !== "" && !run.isRunning && run.prompt.length > 0 && otherModel(run) === null;

/** How many tokens at the beginning of a branch are of a text that was given and measured. */
function given({ config, branches }, number) {
  if (!config.scored) return 0;
  let parts = Infinity;
  for (let branch = branches[number]; branch.parent !== null; branch = branches[branch.parent]) {
    parts = Math.min(parts, branch.at);
  }
  const { steps } = branches[0];
  const decoded = steps.findIndex((step) => step.ph !== "score");
  return Math.min(parts, decoded < 0 ? steps.length : decoded);
}

/** Whether a step is its branch's end; a length that was reached is none where more is allowed. */
export const endsHere = (run, step, number = run.branch) =>
  Boolean(step?.fin) && !(step.fin === "length" && given(run, number) + Number(run.settings?.max_new_tokens) > step.i + 1);

/** Whether there is more to come at the end of the shown branch. */
export const canContinue = (run) => canFork(run) && !endsHere(run, run.steps.at(-1));

let waitingOrder = {};

/** The order that was given last, once. */
export function ordered() {
  const order = waitingOrder;
  waitingOrder = {};
  return order;
}

/**
 * Has a run go on: from step `at` of `branch` (`null`: its end), with `token` where it is the
 * reader's choice, for so many steps.
 */
export function order(run, { branch = run.branch, at = null, token = null, steps = null } = {}) {
  if (!(at === null && token === null ? canContinue(run) : canFork(run))) return;
  waitingOrder = { run: run.id, branch, at, token, steps };
  run.pin(null);
  document.querySelector("#wheel-go")?.click();
}
