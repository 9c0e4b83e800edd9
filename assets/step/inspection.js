// What the server says of the chosen step: one question at a time, the newest of those that wait.

import { inspect, store, touch } from "../run/store.js";

const MAX_FIND = 200;

const question = { run: "", branch: 0, index: null, settings: null, find: "" };
const answers = { plain: null, preview: null, found: null, error: null };
let isAsking = false;
let isDue = false;

/** Of which step everything here is; null while none is chosen. */
export const inspectedIndex = () => question.index;

const isOf = (answer) =>
  answer?.run === question.run && answer.branch === question.branch && answer.index === question.index;

/** The settings as they were, of this step or, until its answer is there, of the last one. */
export const measured = () => answers.plain;
export const isMeasured = () => isOf(answers.plain);
export const isMeasuring = () => isAsking;
export const failure = () => answers.error;
export const tried = () => question.settings;
export const sought = () => question.find;
export const hits = () => (question.find && isOf(answers.found) ? answers.found : null);

/** What other settings would make of step `index`; null where none are tried. */
export const previewOf = (index) =>
  question.settings && index === question.index && isOf(answers.preview) ? answers.preview : null;

/** Takes another step for what is asked; null ends the questions. */
export function lookAt(run, branch, index) {
  if (run === question.run && branch === question.branch && index === question.index) return;
  Object.assign(question, { run, branch, index, settings: null });
  Object.assign(answers, { preview: null, error: null });
  ask();
}

/** Tries settings in the place of the step's own; null goes back to these. */
export function tryOut(settings) {
  question.settings = settings;
  answers.error = null;
  if (settings === null) answers.preview = null;
  if (settings !== null || !isMeasured()) ask();
  touch("inspection");
}

export function search(text) {
  question.find = text.slice(0, MAX_FIND);
  if (question.find) ask();
  touch("inspection");
}

/** Asks once more what could not be answered. */
export function retry() {
  if (answers.error && !isAsking) ask();
}

function ask() {
  const isPossible = question.index !== null && store.live === true;
  isDue = isPossible;
  if (!isPossible || isAsking) return touch("inspection");
  const sent = { ...question };
  isAsking = true;
  isDue = false;
  inspect({ ...sent, find: sent.find || null, token: null }).then(
    (text) => ended(() => take(sent, JSON.parse(text))),
    (error) => ended(() => {
      answers.error = { key: "failed" };
      reportError(error);
    }),
  );
  touch("inspection");
}

function ended(takeAnswer) {
  isAsking = false;
  takeAnswer();
  if (isDue) ask();
  touch("inspection");
}

function take(sent, answer) {
  const isOld = sent.index !== question.index || sent.branch !== question.branch || sent.run !== question.run;
  if (isOld) return;
  if ("error" in answer) {
    // What a newer question has overtaken is no news.
    if (!isDue) answers.error = answer.error;
    return;
  }
  answers.error = null;
  if (sent.settings === null) answers.plain = answer;
  else answers.preview = { ...answer, settings: sent.settings };
  if (sent.find) answers.found = { ...answer, find: sent.find };
}
