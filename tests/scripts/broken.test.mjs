import assert from "node:assert/strict";
import { test } from "node:test";
import "./page.mjs";

const { aboveToo, breakMarks, heightAxes, heights } = await import("../../assets/base/broken.js");

const held = (part, value) => value >= part.range[0] && value <= part.range[1];
const usual = Array.from({ length: 100 }, (_, i) => 50 + (i % 10));

test("values that are not far apart stand on one axis, at their heights", () => {
  const [one, ...more] = heights([120, ...usual], usual);
  assert.deepEqual(more, []);
  assert.ok([0, 120, ...usual].every((value) => held(one, value)));
  assert.deepEqual([one.domain, breakMarks([one])], [[0, 1], []]);
  assert.equal(aboveToo([{ name: "a" }], [one], 2).length, 1);
});

test("a value far above the rest breaks the axis, is inside of it and labelled", () => {
  const parts = heights([9600, ...usual], usual, [0.5, 1]);
  const [low, high] = parts;
  assert.ok(usual.every((value) => held(low, value)));
  assert.ok(held(high, 9600));
  // The parts leave a gap in values and in the chart, and nothing stands in it.
  assert.ok(low.range[1] < high.range[0]);
  assert.ok(0.5 === low.domain[0] && low.domain[1] < high.domain[0] && high.domain[1] === 1);
  const axes = heightAxes(parts, { showgrid: true }, (value) => `${value} ms`, 2);
  assert.deepEqual([axes.yaxis2.ticktext, axes.yaxis2.domain, axes.yaxis2.showgrid], [["9600 ms"], high.domain, true]);
  assert.ok(axes.yaxis.tickvals.every((value) => held(low, value)));
  assert.deepEqual(aboveToo([{ name: "a", y: [9600] }], parts, 2), [
    { name: "a", y: [9600] }, { name: "a_above", y: [9600], yaxis: "y2" },
  ]);
});

test("one slow inference among many is no usual one", () => {
  const slow = [...usual, 900, 200];
  const parts = heights(slow, slow);
  assert.equal(parts.length, 2);
  for (const value of slow) assert.equal(parts.filter((part) => held(part, value)).length, 1, value);
});

test("no values, and none above 0, have an axis all the same", () => {
  for (const values of [[], [0], [NaN]]) {
    const [one] = heights(values, values);
    assert.ok(one.range[1] > 0);
  }
});
