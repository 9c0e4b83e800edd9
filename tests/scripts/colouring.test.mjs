import assert from "node:assert/strict";
import { test } from "node:test";
import "./page.mjs";

const { chooseColouring, colouring, levelOf, rankLevel, surpriseLevel } = await import("../../assets/run/colouring.js");
const { own, pieceOf, surprisal } = await import("../../assets/run/step.js");

test("surprise from 0.3 bits to 4.3 fills the scale of nine", () => {
  assert.deepEqual([0, 0.3, 1.3, 3.3, 4.3, 99, Infinity].map(surpriseLevel), [0, 0, 2, 7, 9, 9, 9]);
});

test("ranks in powers of ten, three to a level", () => {
  assert.deepEqual([1, 10, 100, 1000, 50_000].map(rankLevel), [0, 3, 6, 9, 9]);
});

test("the reader's choice says which of them counts", () => {
  const step = { lp: -Math.LN2, r: 10 }; // one bit
  assert.equal(colouring(), "probability");
  assert.equal(levelOf(step), 2);
  chooseColouring("rank");
  assert.equal(levelOf(step), 3);
  assert.equal(levelOf(step, "probability"), 2);
  chooseColouring("probability");
});

test("surprisal in bits; no number is what the model held impossible", () => {
  assert.equal(surprisal({ lp: -2 * Math.LN2 }), 2);
  assert.equal(surprisal({ lp: 1e-9 }), 0);
  assert.equal(surprisal({ lp: null }), Infinity);
});

test("a token inside a character is told by its bytes", () => {
  const step = { id: 7, k: "Ġx", c: [[3, "a", 0.6, 0.6], [7, "<0xE4>", 0.4, 0.4]] };
  assert.equal(own(step)[1], "<0xE4>");
  assert.equal(pieceOf(step), "<0xE4>");
  assert.equal(pieceOf({ ...step, c: [] }), "Ġx");
  assert.equal(pieceOf({ ...step, c: [], k: "" }), "∅");
});
