// The longer jobs: comparisons and measurements. The latest of each kind is kept.

import { askFor, store, touch } from "../run/store.js";
import { say } from "../base/words.js";

const works = new Map();
const past = [];
let isAsking = false;

const fresh = (kind, id = "") => ({
  id,
  kind,
  state: "",
  message: null,
  progress: null,
  head: null,
  rows: [],
  summary: null,
  total: 0,
});

/** The latest job of a kind; an empty record before the first. */
export const work = (kind) => works.get(kind) ?? fresh(kind);

export const isBusy = (kind) => ["queued", "loading", "running"].includes(work(kind).state);

/** Takes one frame; old and repeated ones do no harm. */
export function receiveWork(frame) {
  if (past.includes(frame.work)) return;
  const known = work(frame.kind);
  if (frame.work === "") works.set(frame.kind, { ...known, message: frame.message, refused: true });
  else take(known.id === frame.work ? known : begin(known, frame), frame);
  store.isWorking = [...works.keys()].some(isBusy);
  touch("work");
}

function begin(known, frame) {
  if (known.id) past.push(known.id);
  if (past.length > 50) past.shift();
  return fresh(frame.kind, frame.work);
}

function take(job, frame) {
  const rows = addRows(job, frame);
  const { state, message, progress, summary } = frame;
  works.set(frame.kind, { ...job, rows, state, message, progress, summary: summary ?? job.summary, refused: false });
  const now = works.get(frame.kind);
  if (now.total > rows.length || !now.head) ask(frame.kind);
}

function addRows(job, frame) {
  job.head ??= frame.head ?? null;
  job.total = Math.max(job.total, frame.total);
  const { rows } = job;
  for (let i = Math.max(0, rows.length - frame.start); i < frame.rows.length && frame.start <= rows.length; i += 1) {
    rows.push(frame.rows[i]);
  }
  return rows;
}

// Gradio merges the updates of a background tab, so frames can be lost.
function ask(kind) {
  if (isAsking) return;
  isAsking = true;
  const job = work(kind);
  askFor(job.id, job.head ? job.rows.length : 0).then(
    (text) => {
      isAsking = false;
      const frame = text ? JSON.parse(text) : null;
      if (frame?.work !== work(kind).id) return;
      addRows(work(kind), frame);
      touch("work");
    },
    (error) => {
      isAsking = false;
      reportError(error);
    },
  );
}

/** What a job waits for, or how it ended, in words; "" where the numbers say it all. */
export function noteOf(kind) {
  const { state, message, progress } = work(kind);
  if (message) return say(`messages.${message.key}`, message.args ?? {});
  if (state === "running" && progress) return say("views.work.progress", { done: progress[0], total: progress[1] });
  if (["running", "stopped"].includes(state)) return say(`views.work.${state}`);
  return "";
}
