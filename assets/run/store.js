// What the page knows of the run it shows. Views read from here and are told what changed.

export const store = {
  run: "",
  state: "",
  message: null,
  refusal: null,
  kept: null,
  progress: null,
  model: null,
  loaded: null,
  switching: null,
  isWorking: false,
  config: {},
  settings: null,
  prompt: [],
  live: true,
  // The path of the branch that is shown: what all views draw.
  steps: [],
  branch: 0,
  branches: [],
  // What views drew before this step is still on the shown path; what they drew from it on is not.
  partedAt: 0,
  notes: [],
  changes: [],
  hovered: null,
  pinned: null,
};

export const ALL_KINDS = ["run", "head", "steps", "branch", "tree", "state", "cursor", "look", "work"];

const views = new Map();
const past = [];
let changed = new Set();
let isScheduled = false;
let isAsking = false;
let askServer = null;
let askAbout = null;
// Number of the branch that the server writes, and the whole path of the one that is shown.
let written = 0;
let whole = [];
let upTo = null;

/** Calls `draw(kinds)` at once and after each change; a second view of a name replaces the first. */
export function watch(name, draw) {
  views.set(name, draw);
  draw(new Set(ALL_KINDS));
}

/** Has the views drawn in the next animation frame, once for all changes before it. */
export function touch(...kinds) {
  for (const kind of kinds) changed.add(kind);
  if (isScheduled) return;
  isScheduled = true;
  requestAnimationFrame(flush);
}

function flush() {
  isScheduled = false;
  const kinds = changed;
  changed = new Set();
  for (const draw of views.values()) {
    try {
      draw(kinds);
    } catch (error) {
      // One view's mistake must not blank the others.
      reportError(error);
    }
  }
  if (!isScheduled) store.partedAt = Infinity;
}

export function connect(stepsFrom, inspectStep = null) {
  askServer = stepsFrom;
  askAbout = inspectStep;
}

/** What a run or a job has from `start` on, asked of the server; a promise of a frame's text. */
export const askFor = (id, start) => (askServer ? askServer(id, start) : Promise.resolve(""));

/** What there is to know of one step; a promise of JSON. */
export const inspect = (question) =>
  askAbout ? askAbout(JSON.stringify(question)) : Promise.resolve('{"error":null}');

export const isRunning = () =>
  ["queued", "loading", "prefill", "decoding"].includes(store.state);

/** Tokens on the way from the prompt to the last step of a branch that is known here. */
export const lengthOf = ({ at: from, steps }) => from + steps.length;

/** A step on the way to the end of a branch; undefined where that is not known (yet). */
export function stepOf(number, index) {
  let branch = store.branches[number];
  while (branch && index < branch.at) branch = store.branches[branch.parent];
  return branch?.steps[index - branch.at];
}

/** Adds what is known of a branch behind the steps that are there already. */
function extend(path, number) {
  for (let step = stepOf(number, path.length); step; step = stepOf(number, path.length)) path.push(step);
  return path;
}

/** All steps of the shown branch that are known, also while a replay shows fewer. */
export const wholePath = () => whole;

/** Shows the first `count` steps of the branch, as a replay does; `null`: all of them. */
export function showUpTo(count) {
  const before = store.steps.length;
  upTo = count;
  store.steps = count === null ? whole : whole.slice(0, count);
  if (store.steps.length >= before) return touch("steps", "cursor");
  store.partedAt = Math.min(store.partedAt, store.steps.length);
  touch("branch", "steps", "cursor");
}

/** Has all views show another branch. */
export function showBranch(number) {
  whole = extend([], number);
  const other = whole.findIndex((step, i) => step !== store.steps[i]);
  const parted = other < 0 ? whole.length : other;
  if (store.pinned > parted) store.pinned = null;
  upTo = null;
  Object.assign(store, {
    branch: number, steps: whole, hovered: null, partedAt: Math.min(store.partedAt, parted),
  });
  touch("branch", "steps", "cursor", "state");
}

/** Whether the shown run can be taken elsewhere now. */
export const canFork = () => store.live && store.run !== "" && !isRunning() && store.prompt.length > 0;

/** How many tokens at the beginning of a branch are of a text that was given and measured. */
function given(number) {
  if (!store.config.scored) return 0;
  let parts = Infinity;
  for (let branch = store.branches[number]; branch.parent !== null; branch = store.branches[branch.parent]) {
    parts = Math.min(parts, branch.at);
  }
  const { steps } = store.branches[0];
  const decoded = steps.findIndex((step) => step.ph !== "score");
  return Math.min(parts, decoded < 0 ? steps.length : decoded);
}

/** Whether a step is its branch's end; a length that was reached is none where more is allowed. */
export const endsHere = (step, number = store.branch) =>
  Boolean(step?.fin) && !(step.fin === "length" && given(number) + Number(store.settings?.max_new_tokens) > step.i + 1);

/** Whether there is more to come at the end of the shown branch. */
export const canContinue = () => canFork() && !endsHere(store.steps.at(-1));

let waitingOrder = {};

/** The order that was given last, once. */
export function ordered() {
  const order = waitingOrder;
  waitingOrder = {};
  return order;
}

/**
 * Has the shown run go on: from step `at` of `branch` (`null`: its end), with `token` where it is
 * the reader's choice, for so many steps.
 */
export function order({ branch = store.branch, at: index = null, token = null, steps = null } = {}) {
  if (!(index === null && token === null ? canContinue() : canFork())) return;
  waitingOrder = { run: store.run, branch, at: index, token, steps };
  pin(null);
  document.querySelector("#wheel-go")?.click();
}

/** Index of the step that all views show; -1 before the first. */
export const at = () =>
  Math.min(store.hovered ?? store.pinned ?? Infinity, store.steps.length - 1);

/** Of the chosen token, in bits; a token the model held impossible has no number on the wire. */
export const surprisal = (step) => (step.lp === null ? Infinity : Math.max(0, -step.lp / Math.LN2));

export const follows = () => store.hovered === null && store.pinned === null;

export function hover(index) {
  if (index === store.hovered) return;
  store.hovered = index;
  touch("cursor");
}

export function pin(index) {
  store.hovered = null;
  store.pinned = index;
  touch("cursor");
}

/** Takes one frame of a run; old, repeated and early ones do no harm. */
export function receive(frame) {
  if (past.includes(frame.run)) return;
  if (frame.model) {
    store.loaded = frame.model;
    // A run that is shown keeps the model that made it.
    if (store.run === "") store.model = frame.model;
    touch("head");
  }
  if (frame.switch) return switchModel(frame);
  if (frame.run === "") return waitFor(frame);
  if (frame.run !== store.run) begin(frame.run);
  take(frame);
  follow(frame);
  setState(frame);
  if (gap()) ask();
}

// What the page waits for belongs to no run yet: the last run stays to be looked at.
function waitFor(frame) {
  const isAboutModel = frame.state === "ready" || frame.state === "loading";
  if (isAboutModel && store.run !== "" && store.state !== "loading") return;
  // The next frame of a run that goes on would take the message away with it.
  store.refusal = frame.state === "error" ? frame.message : null;
  setState(frame);
}

// Another model on its way; what is shown stays.
function switchModel({ state, message = null, progress = null }) {
  store.switching = ["queued", "loading"].includes(state) ? { state, message, progress } : null;
  store.refusal = state === "error" ? message : null;
  store.kept = state === "stopped" ? message : null;
  // What was said of the run before is older than this.
  if (message) store.message = null;
  touch("state");
}

function begin(run) {
  if (store.run) past.push(store.run);
  if (past.length > 50) past.shift();
  whole = [];
  upTo = null;
  written = 0;
  Object.assign(store, {
    run, refusal: null, kept: null, config: {}, prompt: [], live: true,
    steps: whole, branch: 0, branches: [newBranch(null, 0)], partedAt: 0, notes: [], changes: [],
    hovered: null, pinned: null,
  });
  touch("run", "head", "steps", "branch", "tree", "cursor");
}

const newBranch = (parent, at) => ({ parent, at, length: at, steps: [] });

function take(frame) {
  if (frame.head && store.prompt.length === 0) {
    Object.assign(store, { live: true, ...frame.head, loaded: frame.head.live === false ? store.loaded : frame.head.model });
    touch("head");
  }
  for (const [number, [parent, from, length]] of (frame.tree ?? []).entries()) {
    store.branches[number] ??= newBranch(parent, from);
    store.branches[number].length = Math.max(store.branches[number].length, length);
    touch("tree");
  }
  if (frame.notes) Object.assign(store, { notes: frame.notes, changes: frame.changes ?? store.changes });
  if (frame.notes || frame.changes) touch("tree");
  const number = frame.b ?? 0;
  const branch = store.branches[number];
  if (!branch) return false;
  const known = lengthOf(branch);
  for (const step of frame.steps) if (step.i === lengthOf(branch)) append(number, step);
  branch.length = Math.max(branch.length, frame.total);
  if (lengthOf(branch) === known) return false;
  touch("steps", "cursor");
  return true;
}

function append(number, step) {
  store.branches[number].steps.push(step);
  extend(whole, store.branch);
}

/** The branch that is being written is shown, until the reader looks at another one. */
function follow({ b: number = 0 }) {
  if (number === written || !store.branches[number] || !store.live) return;
  written = number;
  if (number !== store.branch) showBranch(number);
}

/** A branch with a gap: its number and where the gap begins; null where nothing is missing. */
function gap() {
  if (store.prompt.length === 0 && store.branches.some((branch) => branch.length > 0)) return [0, 0];
  const number = store.branches.findIndex((branch) => branch.length > lengthOf(branch));
  return number < 0 ? null : [number, lengthOf(store.branches[number])];
}

function setState({ state, message = null, progress = null }) {
  Object.assign(store, { state, message, progress });
  touch("state", "cursor");
}

// Gradio merges the updates of a background tab, so frames can be lost.
function ask() {
  if (isAsking || !askServer) return;
  isAsking = true;
  const { run } = store;
  askServer(run, ...gap()).then(
    (text) => {
      isAsking = false;
      const frame = text ? JSON.parse(text) : null;
      // Its state may be older than that of a frame which came while it was under way.
      if (frame?.run === store.run && take(frame) && gap()) ask();
    },
    (error) => {
      isAsking = false;
      reportError(error);
    },
  );
}
