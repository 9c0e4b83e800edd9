import assert from "node:assert/strict";
import { test } from "node:test";
import { nextFrame } from "./page.mjs";

const { createRun } = await import("../../assets/run/run.js");
const { collect, scoredTexts } = await import("../../assets/score/scored.js");

const head = { prompt: [[1, "A", 0]], model: { name: "tiny", dtype: "float32" }, config: {}, live: true };
const step = (i, t, tb) => ({ i, id: i, t, tb, k: t, sp: 0, lp: -Math.LN2, p: 0.5, r: 1, H: 1, ph: "score", fin: null });

function scored(id, ...steps) {
  const run = createRun();
  run.receive({
    run: id, state: "finished", message: null, progress: null, b: 0, start: 0, total: steps.length, steps,
    head, tree: [[null, 0, steps.length]],
  });
  nextFrame();
  collect(run);
  return scoredTexts().find((text) => text.run === id);
}

test("bits are divided by the bytes of the text that was given", () => {
  const text = scored("a", step(0, " b", 3), step(1, "\u4f60", 3), step(2, "", 0));
  assert.deepEqual([text.bytes, text.bitsPerByte], [6, 0.5]);
});

test("where the tokenizer does not tell them, nothing is divided", () => {
  assert.equal(scored("b", step(0, " b", 2), step(1, "c", null)).bitsPerByte, null);
  assert.equal(scored("c", step(0, " b"), step(1, "c")).bitsPerByte, null);
});
