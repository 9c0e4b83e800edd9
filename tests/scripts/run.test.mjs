import assert from "node:assert/strict";
import { test } from "node:test";
import { nextFrame } from "./page.mjs";

const { createRun, lengthOf } = await import("../../assets/run/run.js");
const { connect } = await import("../../assets/run/server.js");
const { canContinue, canFork, endsHere, otherModel } = await import("../../assets/run/order.js");
const { configAt, draws, inForce, valueOf } = await import("../../assets/run/config.js");
const { inOrder, logprob, parting } = await import("../../assets/run/tree.js");

const head = { prompt: [[1, "x", 0]], model: { name: "tiny" }, config: { temperature: 1 }, live: true };
const step = (i, id, more = {}) => ({ i, id, lp: -1, ph: "decode", fin: null, ...more });
const frame = (run, steps, more = {}) => ({
  run, state: "decoding", message: null, progress: null, b: 0, start: 0,
  total: (steps.at(-1)?.i ?? -1) + 1, steps, ...more,
});
const ids = (run) => run.steps.map(({ id }) => id);

/** 0: a b c d; 1 leaves at 2 with e f; 2 leaves 1 at 3 with g. */
function forked() {
  const run = createRun();
  const tree = [[null, 0, 4], [0, 2, 4], [1, 3, 4]];
  run.receive(frame("r", [step(0, 10), step(1, 11), step(2, 12), step(3, 13)], { head, tree: tree.slice(0, 1) }));
  run.receive(frame("r", [step(2, 20), step(3, 21)], { b: 1, tree: tree.slice(0, 2) }));
  run.receive(frame("r", [step(3, 30)], { b: 2, tree }));
  return run;
}

test("two runs stand side by side and know nothing of each other", () => {
  const [one, other] = [createRun(), createRun()];
  const drawn = { one: 0, other: 0 };
  one.watch("view", () => (drawn.one += 1));
  other.watch("view", () => (drawn.other += 1));
  nextFrame();
  one.receive(frame("a", [step(0, 5)], { head }));
  other.receive(frame("b", [step(0, 6), step(1, 7)], { head }));
  one.pin(0);
  assert.deepEqual([one.id, ids(one), one.pinned], ["a", [5], 0]);
  assert.deepEqual([other.id, ids(other), other.pinned], ["b", [6, 7], null]);
  nextFrame();
  assert.deepEqual(drawn, { one: 2, other: 2 });
  other.hover(0);
  nextFrame();
  assert.deepEqual(drawn, { one: 2, other: 3 });
});

test("old, repeated and early frames do no harm", () => {
  const run = createRun();
  run.receive(frame("a", [step(0, 5)], { head }));
  run.receive(frame("a", [step(0, 5), step(1, 6)]));
  run.receive(frame("a", [step(0, 99)]));
  assert.deepEqual(ids(run), [5, 6]);
  run.receive(frame("b", [step(0, 7)], { head }));
  run.receive(frame("a", [step(2, 8)]));
  assert.deepEqual([run.id, ids(run)], ["b", [7]]);
});

test("what is missing is asked of the server from where it begins", async () => {
  const run = createRun();
  const asked = [];
  connect((...place) => {
    asked.push(place);
    return Promise.resolve(JSON.stringify(frame("a", [step(1, 6), step(2, 7), step(3, 8)])));
  });
  run.receive(frame("a", [step(0, 5)], { head }));
  run.receive(frame("a", [step(3, 8)], { start: 3 }));
  await new Promise(setImmediate);
  assert.deepEqual(asked, [["a", 0, 1]]);
  assert.deepEqual(ids(run), [5, 6, 7, 8]);
  connect(null);
});

test("the branch that is written is shown, and its steps begin with its parents'", () => {
  const run = forked();
  assert.equal(run.branch, 2);
  assert.deepEqual(ids(run), [10, 11, 20, 30]);
  assert.deepEqual(run.branches.map(lengthOf), [4, 4, 4]);
  assert.equal(run.stepOf(1, 0).id, 10);
  assert.equal(run.stepOf(2, 4), undefined);
  nextFrame();
  run.showBranch(0);
  assert.deepEqual([ids(run), run.partedAt], [[10, 11, 12, 13], 2]);
});

test("a replay shows the beginning, and the cursor stays in it", () => {
  const run = forked();
  run.pin(3);
  run.showUpTo(2);
  assert.deepEqual([ids(run), run.whole.length, run.cursor], [[10, 11], 4, 1]);
  run.showUpTo(null);
  assert.equal(run.cursor, 3);
});

test("branches in the tree's order, their sums, and where two part", () => {
  const run = forked();
  assert.deepEqual(inOrder(run), [0, 1, 2]);
  assert.equal(logprob(run, 2), -4);
  assert.equal(parting(run, 0, 1), 2);
  assert.equal(parting(run, 1, 2), 3);
  run.branches[1].steps[1].lp = null;
  assert.equal(logprob(run, 1), -Infinity);
});

test("of the branches that left one, the later stand nearer", () => {
  const run = createRun();
  run.receive(frame("r", [], { head, tree: [[null, 0, 0], [0, 1, 1], [0, 3, 3], [1, 2, 2]] }));
  assert.deepEqual(inOrder(run), [0, 2, 1, 3]);
  assert.equal(logprob(run, 1), null);
});

test("the settings of a step are the last that were set on its way", () => {
  const run = forked();
  run.changes = [[0, 0, { temperature: 1 }], [1, 2, { temperature: 2 }], [0, 3, { temperature: 3 }]];
  assert.deepEqual([1, 2, 3].map((i) => configAt(run, i).temperature), [1, 2, 2]);
  run.showBranch(0);
  assert.deepEqual([1, 2, 3].map((i) => configAt(run, i).temperature), [1, 1, 3]);
  run.changes = [];
  assert.equal(configAt(run, 3).temperature, 1);
});

test("settings that change nothing are not named", () => {
  const config = { temperature: 0.7, top_p: 1, top_k: 5, min_p: null };
  assert.deepEqual(inForce(config, ["temperature", "top_p", "top_k", "min_p"]), ["temperature 0.7", "top_k 5"]);
  assert.equal(valueOf(config, "top_k"), 5);
  assert.equal(valueOf({}, "top_p"), 1);
});

test("what may be ordered: nothing while it runs, no more behind an end", () => {
  const run = forked();
  assert.equal(canFork(run), false);
  run.state = "paused";
  assert.deepEqual([canFork(run), canContinue(run)], [true, true]);
  run.steps.at(-1).fin = "length";
  run.settings = { max_new_tokens: 4 };
  assert.deepEqual([canFork(run), canContinue(run)], [true, false]);
  run.settings = { max_new_tokens: 5 };
  assert.equal(canContinue(run), true);
  assert.equal(endsHere(run, step(3, 1, { fin: "eos" })), true);
  run.live = false;
  assert.equal(canFork(run), false);
});

test("what another model wrote does not go on under this one", () => {
  const run = forked();
  run.state = "paused";
  const wrote = { name: "tiny", dtype: "float32" };
  run.model = wrote;
  for (const loaded of [{ name: "other", dtype: "float32" }, { ...wrote, quantization: "8bit" }]) {
    run.loaded = loaded;
    assert.deepEqual([canFork(run), canContinue(run), otherModel(run).before], [false, false, "tiny (float32)"]);
  }
  assert.equal(otherModel(run).now, "tiny (8bit)");
  run.loaded = { ...wrote };
  assert.deepEqual([canContinue(run), otherModel(run)], [true, null]);
});

test("nothing is drawn without sampling, nor at a temperature of 0", () => {
  const settings = [{ do_sample: true, temperature: 0.1 }, { do_sample: true, temperature: null }, { do_sample: true, temperature: 0 }, {}];
  assert.deepEqual(settings.map(draws), [true, true, false, false]);
});

test("tokens that were given do not count towards the length", () => {
  const run = createRun();
  const given = [0, 1, 2].map((i) => step(i, i, { ph: "score" }));
  run.receive(frame("r", [...given, step(3, 3, { fin: "length" })], { head: { ...head, config: { scored: true } } }));
  run.settings = { max_new_tokens: 1 };
  assert.equal(endsHere(run, run.steps[3]), true);
  run.settings = { max_new_tokens: 2 };
  assert.equal(endsHere(run, run.steps[3]), false);
});

test("a frame of no run tells what the page waits for, and leaves the run", () => {
  const run = createRun();
  run.receive(frame("", [], { state: "loading", message: { key: "m" }, progress: [1, 2] }));
  assert.deepEqual([run.state, run.progress], ["loading", [1, 2]]);
  run.receive(frame("", [], { state: "ready", model: { name: "tiny" } }));
  assert.deepEqual([run.state, run.model.name, run.loaded.name], ["ready", "tiny", "tiny"]);
  run.receive(frame("a", [step(0, 5)], { head }));
  run.receive(frame("", [], { state: "error", message: { key: "no" } }));
  assert.deepEqual([run.id, run.refusal, ids(run)], ["a", { key: "no" }, [5]]);
  run.receive(frame("", [], { state: "ready", model: { name: "next" }, switch: true }));
  assert.deepEqual([run.model.name, run.loaded.name, run.switching], ["tiny", "next", null]);
  run.receive(frame("", [], { state: "ready", message: { key: "loaded" }, model: { name: "tiny" }, switch: true }));
  run.receive(frame("a", [], { state: "paused" }));
  assert.deepEqual([run.told, run.switching], [{ key: "loaded" }, null]);
  run.receive(frame("a", [step(1, 6)]));
  assert.equal(run.told, null);
});
