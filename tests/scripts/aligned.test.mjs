import assert from "node:assert/strict";
import { test } from "node:test";
import { placeIn, rangesOf, sharedOf, wordBits } from "../../assets/score/aligned.js";

const bits = (n) => -n * Math.LN2;
const side = (before, ...tokens) => ({
  before,
  tokens: tokens.map(([t, n]) => ({ t, lp: bits(n) })),
  text: before + tokens.map(([t]) => t).join(""),
});

test("two texts are the same from both ends, white space at the end apart", () => {
  assert.deepEqual(sharedOf("the old house", "the new house\n"), { before: 4, after: 6 });
  assert.deepEqual(sharedOf("same", "same"), { before: 4, after: 0 });
  assert.deepEqual(sharedOf("aa", "aaa"), { before: 2, after: 0 });
});

test("a character has a place in the other text, or none", () => {
  const [a, b] = ["a bb c", "a b c"];
  const shared = sharedOf(a, b);
  assert.deepEqual([0, 2, 3, 4, 5].map((place) => placeIn(b, a, place, shared)), [0, 2, null, 3, 4]);
});

test("tokens stand on characters; one without text, where the character does that it begins", () => {
  assert.deepEqual(rangesOf(side("ab", ["c", 1], ["", 1], ["é", 1])), [[2, 3], [3, 4], [3, 4]]);
});

test("each word with its bits under the one and the other", () => {
  const a = side("", ["the ", 4], ["old", 3], [" house", 2]);
  const b = side("", ["the", 1], [" new", 5], [" ", 1], ["house", 6]);
  // "the" is three of the four characters of its token; "house" begins with its space.
  assert.deepEqual(wordBits(a, b).map(({ from, to, a: own, b: other }) => [from, to, +own.toFixed(9), +other.toFixed(9)]), [
    [0, 3, 3, 1],
    [7, 13, 2, 7],
  ]);
});

test("what was not scored and what was impossible is no difference", () => {
  const a = side("the", [" end", 2]);
  const b = { ...side("the", [" end", 0]), tokens: [{ t: " end", lp: null }] };
  assert.deepEqual(wordBits(a, b), []);
});
