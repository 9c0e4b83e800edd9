// The longer jobs: comparisons and measurements. The latest of each kind is kept.

import { touchAll } from "../base/watched.js";
import { say } from "../base/words.js";
import { readFrame } from "../run/frame.js";
import { askFor } from "../run/server.js";

/** @import { JobFrame } from "../run/frame.js" */

const jobs = new Map();
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
export const jobOf = (kind) => jobs.get(kind) ?? fresh(kind);

const isBusy = (kind) => ["queued", "loading", "running"].includes(jobOf(kind).state);

/** Whether any of them is under way or waits for its turn. */
export const isJobRunning = () => [...jobs.keys()].some(isBusy);

/**
 * Takes one frame; old and repeated ones do no harm.
 * @param {JobFrame} frame
 */
export function receiveJob(frame) {
  if (past.includes(frame.work)) return;
  const known = jobOf(frame.kind);
  if (frame.work === "") jobs.set(frame.kind, { ...known, message: frame.message, refused: true });
  else take(known.id === frame.work ? known : begin(known, frame), frame);
  touchAll("job");
}

function begin(known, frame) {
  if (known.id) past.push(known.id);
  if (past.length > 50) past.shift();
  return fresh(frame.kind, frame.work);
}

function take(job, frame) {
  const rows = addRows(job, frame);
  const { state, message, progress, summary } = frame;
  jobs.set(frame.kind, { ...job, rows, state, message, progress, summary: summary ?? job.summary, refused: false });
  const now = jobs.get(frame.kind);
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
  const job = jobOf(kind);
  askFor(job.id, job.head ? job.rows.length : 0).then(
    (text) => {
      isAsking = false;
      const frame = readFrame(text);
      if (frame?.work !== jobOf(kind).id) return;
      addRows(jobOf(kind), frame);
      touchAll("job");
    },
    (error) => {
      isAsking = false;
      reportError(error);
    },
  );
}

/** What a job waits for, or how it ended, in words; "" where the numbers say it all. */
export function noteOf(kind) {
  const { state, message, progress } = jobOf(kind);
  if (message) return say(`messages.${message.key}`, message.args ?? {});
  if (state === "running" && progress) return say("views.work.progress", { done: progress[0], total: progress[1] });
  if (["running", "stopped"].includes(state)) return say(`views.work.${state}`);
  return "";
}
