// Settings tried on one step: sliders that ask what its distribution would become.

import { tokenName } from "./candidates.js";
import { configAt } from "../run/changes.js";
import { measured, previewOf, tried, tryOut } from "./inspection.js";
import { make, write } from "../base/make.js";
import { store } from "../run/store.js";
import { percent, say } from "../base/words.js";

// `usual` is the slider's end unless the value in force lies beyond it.
const SLIDERS = {
  temperature: { low: 0.05, usual: 2, high: 5, step: 0.05, plain: 1, isSampling: true },
  top_k: { low: 0, usual: 100, high: 1000, step: 1, plain: 0, isSampling: true },
  top_p: { low: 0, usual: 1, high: 1, step: 0.01, plain: 1, isSampling: true },
  min_p: { low: 0, usual: 0.5, high: 1, step: 0.01, plain: 0, isSampling: true },
  repetition_penalty: { low: 0.5, usual: 2, high: 3, step: 0.05, plain: 1 },
};
// Not moved here, but part of what the step was chosen with.
const KEPT = { typical_p: 1, no_repeat_ngram_size: 0 };

/** What the sliders stand at for step `index`. */
export function settingsAt(index) {
  const settings = configAt(index);
  const values = { do_sample: Boolean(settings.do_sample) };
  for (const [name, { plain }] of Object.entries(SLIDERS)) values[name] = settings[name] ?? plain;
  for (const [name, plain] of Object.entries(KEPT)) values[name] = settings[name] ?? plain;
  return values;
}

function slider(name, { low, step }) {
  const input = make("input", { type: "range", id: `try-${name}`, min: low, step });
  const value = make("output");
  value.setAttribute("for", input.id);
  const label = make("label", { htmlFor: input.id }, name);
  return { input, value, row: make("div", { className: "slider" }, label, input, value) };
}

function takeValues(controls, doSample, values) {
  doSample.checked = values.do_sample;
  for (const [name, control] of Object.entries(controls)) {
    const { usual, high } = SLIDERS[name];
    control.input.max = values[name] > usual ? high : usual;
    control.input.value = values[name];
    // A value between the slider's steps stays what it is until the slider is moved.
    control.now = values[name];
  }
}

function writeValues(controls, doSample) {
  for (const [name, { input, value, now }] of Object.entries(controls)) {
    write(value, String(now));
    input.disabled = SLIDERS[name].isSampling === true && !doSample.checked;
  }
}

function wouldTake(answer) {
  const [, text, p, q] = answer.chosen;
  const key = tried().do_sample ? "would_draw" : "would_settle";
  const parts = say(`views.inspector.${key}`, { p: percent(q), own: percent(p) }).split("{token}");
  return [parts[0], tokenName(text), ...parts.slice(1)];
}

/** The panel of sliders; returns what draws it for a step. */
export function whatIf(root) {
  const [title, note] = [make("h3"), make("p", { className: "reading" })];
  const doSample = make("input", { type: "checkbox", id: "try-do_sample" });
  const controls = Object.fromEntries(Object.entries(SLIDERS).map(([name, range]) => [name, slider(name, range)]));
  const use = make("button", { type: "button", className: "quiet", id: "use-settings" });
  const undo = make("button", { type: "button", className: "quiet", id: "undo-settings" });
  const answer = make("p", { className: "would" });
  answer.setAttribute("aria-live", "polite");
  const check = make("label", { className: "check" }, doSample, "do_sample");
  const rows = Object.values(controls).map(({ row }) => row);
  root.replaceChildren(title, check, ...rows, answer, make("p", { className: "buttons" }, use, undo), note);
  let place = "";

  const values = () => ({
    ...settingsAt(store.pinned),
    do_sample: doSample.checked,
    ...Object.fromEntries(Object.entries(controls).map(([name, { now }]) => [name, now])),
  });
  root.addEventListener("input", ({ target }) => {
    const moved = Object.values(controls).find(({ input }) => input === target);
    if (moved) moved.now = Number(target.value);
    writeValues(controls, doSample);
    tryOut(values());
  });
  use.addEventListener("click", () => {
    const { typical_p, no_repeat_ngram_size, ...moved } = tried();
    window.decodingLive.setControls(moved);
  });
  undo.addEventListener("click", () => tryOut(null));

  return () => {
    const now = `${store.run}/${store.branch}/${store.pinned}/${tried() === null}`;
    if (now !== place) {
      place = now;
      if (tried() === null) takeValues(controls, doSample, settingsAt(store.pinned));
      writeValues(controls, doSample);
    }
    write(title, say("views.inspector.what_if"));
    write(use, say("views.inspector.use"));
    write(undo, say("views.inspector.undo"));
    write(note, say("views.inspector.what_if_help"));
    use.disabled = undo.disabled = tried() === null;
    const preview = previewOf(store.pinned);
    answer.replaceChildren(...(preview?.chosen ? wouldTake(preview) : []));
  };
}

/** What is shown: the preview while settings are tried, else what was measured. */
export const shownAnswer = () => previewOf(store.pinned) ?? measured();
