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
  steps: [],
  total: 0,
  hovered: null,
  pinned: null,
};

export const ALL_KINDS = ["run", "head", "steps", "state", "cursor", "look", "work"];

const views = new Map();
const past = [];
let changed = new Set();
let isScheduled = false;
let isAsking = false;
let askServer = null;

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
}

export function connect(stepsFrom) {
  askServer = stepsFrom;
}

/** What a run or a job has from `start` on, asked of the server; a promise of a frame's text. */
export const askFor = (id, start) => (askServer ? askServer(id, start) : Promise.resolve(""));

export const isRunning = () =>
  ["queued", "loading", "prefill", "decoding"].includes(store.state);

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
  setState(frame);
  if (isIncomplete()) ask();
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
  touch("state");
}

function begin(run) {
  if (store.run) past.push(store.run);
  if (past.length > 50) past.shift();
  Object.assign(store, { run, refusal: null, kept: null, total: 0, config: {}, prompt: [], steps: [], hovered: null, pinned: null });
  touch("run", "head", "steps", "cursor");
}

function take(frame) {
  if (frame.head && store.prompt.length === 0) {
    Object.assign(store, frame.head, { loaded: frame.head.model });
    touch("head");
  }
  const known = store.steps.length;
  for (const step of frame.steps) if (step.i === store.steps.length) store.steps.push(step);
  if (store.steps.length > known) touch("steps", "cursor");
  store.total = Math.max(store.total, frame.total);
  return store.steps.length > known;
}

const isIncomplete = () =>
  store.total > store.steps.length || (store.total > 0 && store.prompt.length === 0);

function setState({ state, message = null, progress = null }) {
  Object.assign(store, { state, message, progress });
  touch("state", "cursor");
}

// Gradio merges the updates of a background tab, so frames can be lost.
function ask() {
  if (isAsking || !askServer) return;
  isAsking = true;
  const { run } = store;
  const start = store.prompt.length === 0 ? 0 : store.steps.length;
  askServer(run, start).then(
    (text) => {
      isAsking = false;
      const frame = text ? JSON.parse(text) : null;
      // Its state may be older than that of a frame which came while it was under way.
      if (frame?.run === store.run && take(frame) && isIncomplete()) ask();
    },
    (error) => {
      isAsking = false;
      reportError(error);
    },
  );
}
