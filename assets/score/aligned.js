// Two texts along their characters: where the one stands in the other, and the bits of each word.

import { surprisal } from "../run/step.js";

/** How far two texts are the same, from their beginnings and, white space apart, from their ends. */
export function sharedOf(a, b) {
  const most = Math.min(a.length, b.length);
  let before = 0;
  while (before < most && a[before] === b[before]) before += 1;
  const [ownEnd, otherEnd] = [a, b].map((text) => text.trimEnd());
  const left = Math.min(ownEnd.length, otherEnd.length) - before;
  let after = 0;
  while (after < left && ownEnd.at(-1 - after) === otherEnd.at(-1 - after)) after += 1;
  return { before, after };
}

/** The same character's place in the other text; null where that text has none. */
export function placeIn(other, own, place, { before, after }) {
  if (place < before) return place;
  const [ownEnd, otherEnd] = [own, other].map((text) => text.trimEnd().length);
  return place >= ownEnd - after && place < ownEnd ? place + otherEnd - ownEnd : null;
}

/**
 * Where each token stands: `[from, to]` in UTF-16 units. Tokens that are no whole character yet
 * stand where the character that they begin does.
 */
export function rangesOf({ before, tokens }) {
  const ranges = [];
  let from = before.length;
  for (const { t } of tokens) {
    ranges.push([from, from + t.length]);
    from += t.length;
  }
  for (let i = ranges.length - 2; i >= 0; i -= 1) {
    if (tokens[i].t === "") [, ranges[i][1]] = ranges[i + 1];
  }
  return ranges;
}

/** Bits of each character, a token's shared evenly among its own; NaN where nothing was scored. */
function bitsAlong({ text, tokens }, ranges) {
  const bits = new Float64Array(text.length).fill(NaN);
  tokens.forEach((token, i) => {
    const [from, to] = ranges[i];
    for (let at = from; at < to; at += 1) {
      bits[at] = (Number.isNaN(bits[at]) ? 0 : bits[at]) + surprisal(token) / (to - from);
    }
  });
  return bits;
}

/** Words with the white space before them, as `[from, to]`; marks of punctuation are words too. */
function wordsOf(text) {
  const words = [];
  let from = 0;
  for (const { index, segment } of new Intl.Segmenter(undefined, { granularity: "word" }).segment(text)) {
    if (!segment.trim()) continue;
    words.push([from, index + segment.length]);
    from = index + segment.length;
  }
  return words;
}

const sumOf = (bits, from, to) => bits.subarray(from, to).reduce((total, value) => total + value, 0);

/** The words that stand in both texts, with the bits of each under the one and the other. */
export function wordBits(a, b) {
  const shared = sharedOf(a.text, b.text);
  const [ofA, ofB] = [a, b].map((side) => bitsAlong(side, rangesOf(side)));
  const rows = wordsOf(a.text).map(([from, to]) => {
    const there = placeIn(b.text, a.text, from, shared);
    // A word is not the same where its end stands elsewhere than its beginning.
    if (there === null || placeIn(b.text, a.text, to - 1, shared) !== there + to - 1 - from) return null;
    return { from, to, a: sumOf(ofA, from, to), b: sumOf(ofB, there, there + to - from) };
  });
  return rows.filter((row) => row !== null && Number.isFinite(row.a - row.b));
}
