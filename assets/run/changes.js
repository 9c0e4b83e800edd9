// The settings that each step was chosen with: they may change in the middle of a run.

import { store } from "./store.js";

/** Whether step `index` of branch `number` lies on the way to the shown branch's end. */
function isOnPath(number, index) {
  let end = Infinity;
  for (let at = store.branch; at !== null; ) {
    if (at === number) return index < end;
    const branch = store.branches[at];
    end = Math.min(end, branch?.at ?? 0);
    at = branch?.parent ?? null;
  }
  return false;
}

/** The settings, by name, that step `index` of the shown branch was chosen with. */
export function configAt(index) {
  const until = store.changes.filter(([number, from]) => from <= index && isOnPath(number, from));
  const last = until.reduce((latest, change) => (latest && latest[1] > change[1] ? latest : change), null);
  return last?.[2] ?? store.config;
}
