// The branches of a run as a tree: their order, where they part, how likely their texts are.

import { lengthOf } from "./run.js";

/** Numbers in the tree's order: each branch before those that left it, the later ones first. */
export function inOrder(run) {
  const list = [];
  const visit = (number) => {
    list.push(number);
    childrenOf(run, number).forEach(visit);
  };
  visit(0);
  return list;
}

// With the later ones nearest, no line to a child crosses a branch.
const childrenOf = (run, number) =>
  [...run.branches.keys()]
    .filter((child) => run.branches[child].parent === number)
    .sort((one, other) => run.branches[other].at - run.branches[one].at);

const sums = new WeakMap();

/** Of a branch's whole text, in nats; each step is added once. Null while steps are missing. */
export function logprob(run, number) {
  const branch = run.branches[number];
  const sum = sums.get(branch) ?? { n: 0, nats: 0 };
  for (; sum.n < lengthOf(branch); sum.n += 1) {
    const step = run.stepOf(number, sum.n);
    if (!step) return null;
    sum.nats += step.lp ?? -Infinity;
  }
  sums.set(branch, sum);
  return sum.nats;
}

/** Index of the first step at which two branches chose differently, or one ends. */
export function parting(run, one, other, from = 0) {
  let index = from;
  while (run.stepOf(one, index) && run.stepOf(one, index)?.id === run.stepOf(other, index)?.id) index += 1;
  return index;
}
