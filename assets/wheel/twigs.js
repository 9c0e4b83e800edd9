// The tree as a drawing, one strip for each branch's row: a line from where it left to its end.

import { draw } from "../base/make.js";
import { lengthOf } from "../run/run.js";
import { inOrder } from "../run/tree.js";

const [WIDTH, HEIGHT, DOT] = [150, 34, 3.5];

/** Steps that the drawing's width stands for: so rounded that it seldom changes in a run. */
export function scaleOf(run) {
  const longest = Math.max(...run.branches.map(lengthOf));
  return Math.max(20, 2 ** Math.ceil(Math.log2(Math.max(1, longest))));
}

const xOf = (steps, scale) => DOT + (steps / scale) * (WIDTH - 2 * DOT);

/** Where lines to branches further down cross a row: [x, from, to], the height being 1. */
function crossings(run, row, order, scale) {
  const place = (number) => order.indexOf(number);
  return run.branches.flatMap(({ parent, at }, child) => {
    if (parent === null || row < place(parent) || row > place(child)) return [];
    const [from, to] = [row === place(parent) ? 0.5 : 0, row === place(child) ? 0.5 : 1];
    return [[xOf(at, scale), from, to]];
  });
}

/** The strip of the branch in row `row` of the tree. */
export function twig(run, row, scale) {
  const order = inOrder(run);
  const number = order[row];
  const branch = run.branches[number];
  const [start, end, middle] = [xOf(branch.at, scale), xOf(lengthOf(branch), scale), HEIGHT / 2];
  const lines = crossings(run, row, order, scale).map(([x, from, to]) =>
    draw("path", { d: `M${x} ${from * HEIGHT}V${to * HEIGHT}` }));
  const own = draw("path", { class: "own", d: `M${start} ${middle}H${end}` });
  const tip = draw("circle", { class: branch.steps.at(-1)?.fin ? "end" : "open", cx: end, cy: middle, r: DOT });
  return draw("svg", { class: "twig", width: WIDTH, height: HEIGHT, viewBox: `0 0 ${WIDTH} ${HEIGHT}`, "aria-hidden": "true" }, ...lines, own, tip);
}
