// Settings tried on one step: sliders that ask what its distribution would become.

import { make, write } from "../base/make.js";
import { percent, say } from "../base/words.js";
import { configAt, draws } from "../run/config.js";
import { setControls } from "../run/request.js";
import { tokenName } from "./candidates.js";

// `usual` is the slider's end unless the value in force lies beyond it.
const SLIDERS = {
  temperature: { low: 0, usual: 2, high: 5, step: 0.05, plain: 1, isSampling: true },
  top_k: { low: 0, usual: 100, high: 1000, step: 1, plain: 0, isSampling: true },
  top_p: { low: 0, usual: 1, high: 1, step: 0.01, plain: 1, isSampling: true },
  min_p: { low: 0, usual: 0.5, high: 1, step: 0.01, plain: 0, isSampling: true },
  repetition_penalty: { low: 0.5, usual: 2, high: 3, step: 0.05, plain: 1 },
};
// Not moved here, but part of what the step was chosen with.
const KEPT = { typical_p: 1, no_repeat_ngram_size: 0 };

/** What the sliders stand at for step `index`. */
export function settingsAt(run, index) {
  const settings = configAt(run, index);
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

function wouldTake(answer, settings) {
  const [, text, p, q] = answer.chosen;
  const key = draws(settings) ? "would_draw" : "would_settle";
  const parts = say(`views.inspector.${key}`, { p: percent(q), own: percent(p) }).split("{token}");
  return [parts[0], tokenName(text), ...parts.slice(1)];
}

/** The panel of sliders; returns what draws it for a step. */
export function whatIf(root, run, inspection) {
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
    ...settingsAt(run, run.pinned),
    do_sample: doSample.checked,
    ...Object.fromEntries(Object.entries(controls).map(([name, { now }]) => [name, now])),
  });
  root.addEventListener("input", ({ target }) => {
    const moved = Object.values(controls).find(({ input }) => input === target);
    if (moved) moved.now = Number(target.value);
    writeValues(controls, doSample);
    inspection.tryOut(values());
  });
  use.addEventListener("click", () => {
    const moved = Object.entries(inspection.tried).filter(([name]) => !(name in KEPT));
    setControls(Object.fromEntries(moved));
  });
  undo.addEventListener("click", () => inspection.tryOut(null));

  return () => {
    const now = `${run.id}/${run.branch}/${run.pinned}/${inspection.tried === null}`;
    if (now !== place) {
      place = now;
      if (inspection.tried === null) takeValues(controls, doSample, settingsAt(run, run.pinned));
      writeValues(controls, doSample);
    }
    write(title, say("views.inspector.what_if"));
    write(use, say("views.inspector.use"));
    write(undo, say("views.inspector.undo"));
    write(note, say("views.inspector.what_if_help"));
    use.disabled = undo.disabled = inspection.tried === null;
    const preview = inspection.previewOf(run.pinned);
    answer.replaceChildren(...(preview?.chosen ? wouldTake(preview, inspection.tried) : []));
  };
}
