import assert from "node:assert/strict";
import { test } from "node:test";
import "./page.mjs";

const { lackOf } = await import("../../assets/jobs/start.js");
const KINDS = ["caching", "precision", "sampled", "calibration", "roofline"];
const runOf = (...phases) => {
  const steps = phases.map((ph) => ({ ph }));
  return { id: phases.length > 0 ? "r" : "", steps, branches: [{ steps }] };
};

test("a job is started when there is the text that it takes", () => {
  const [nothing, written, given] = [runOf(), runOf("prefill", "decode"), runOf("score", "score")];
  const lacks = (run) => KINDS.map((kind) => lackOf(kind, run));
  assert.deepEqual(lacks(nothing), ["work_without_run", "work_without_run", "work_without_run", "calibration_without_text", null]);
  assert.deepEqual(lacks(written), [null, null, null, "calibration_of_own_text", null]);
  assert.deepEqual(lacks(given), [null, null, "sampled_of_scored_text", null, null]);
});
