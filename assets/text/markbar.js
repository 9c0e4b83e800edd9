// The marks' switch and slider; how often such marks were right; why a word is marked.

import { quoted } from "../base/glyphs.js";
import { make, write } from "../base/make.js";
import { count, fixed, percent, say, share } from "../base/words.js";
import { evaluation, isMeasured, marksAt } from "../run/measured.js";
import { own } from "../run/step.js";

const words = (key, args) => say(`views.marks.${key}`, args);

/** What marks from this threshold on were worth on the labelled questions: `rate` or `rate_short`. */
function rate(run, threshold, key = "rate") {
  if (!evaluation) return words("unmeasured");
  if (run.config.scored) return words("given_text");
  if (!isMeasured(run.model)) return words("other_model", { model: evaluation.model, dtype: evaluation.dtype });
  const { threshold: measured, marked, precision, recall, false_marks: falseMarks } = marksAt(threshold);
  const args = { n: marked, threshold: measured };
  if (precision === null || recall === null) return words("rate_none", args);
  const found = words(key, { ...args, precision: share(precision), recall: share(recall) });
  if (key !== "rate" || falseMarks == null) return found;
  return `${found}${say("views.sentence.joint")}${words("false_marks", { share: share(falseMarks) })}`;
}

/** A doubt that rounding makes neither certain nor none. */
function doubtText(value) {
  if (value > 0.99) return `>\u00a0${fixed(0.99, 2)}`;
  return value < 0.01 ? `<\u00a0${fixed(0.01, 2)}` : fixed(value, 2);
}

/** The step's likeliest candidate beside the one that stands there. */
const nextBest = (step) => step.c.find(([id]) => id !== step.id);

/** Why a word is marked, by the numbers of its least likely token; it may be for the words before it. */
function reason(run, { start, end, doubt, own: alone }) {
  const steps = run.steps.slice(start, end);
  const least = steps.reduce((lowest, step) => (step.p < lowest.p ? step : lowest));
  const other = nextBest(least);
  return words(alone < doubt / 2 ? "reason_before" : "reason", {
    alone: doubtText(alone),
    n: steps.length,
    word: quoted(steps.map((step) => step.t).join("")),
    doubt: doubtText(doubt),
    token: quoted(own(least)?.[1] || least.t || least.k),
    p: percent(least.p),
    rank: least.r,
    bits: fixed(least.H, 1),
    other: other ? words("other", { token: quoted(other[1]), p: percent(other[2]) }) : "",
  });
}

/** The reason for the mark on the word the reader chose; "" where there is none. */
function told(run, marks) {
  const word = run.follows ? undefined : marks.wordAt(run.cursor);
  if (!word?.isMarked) return "";
  const parts = [reason(run, word), rate(run, marks.threshold, "rate_short"), words("phrasing")];
  if (run.steps.slice(word.start, word.end).some((step) => step.f)) parts.splice(1, 0, words("forced"));
  return parts.join(say("views.sentence.joint"));
}

function controls(marks, changed) {
  const check = make("input", { type: "checkbox", id: "mark-switch", checked: marks.isOn });
  const slider = make("input", {
    type: "range", id: "mark-threshold", min: 0, max: 1, step: 0.025, value: marks.threshold,
  });
  check.addEventListener("change", () => {
    marks.switchTo(check.checked);
    changed();
  });
  slider.addEventListener("input", () => {
    const value = Number(slider.value);
    // Only what was measured has a rate of its own.
    marks.setThreshold(evaluation ? marksAt(value).threshold : value);
    changed();
  });
  return { check, slider };
}

/** The controls of `marks` and what is said of them, into `root`; returns how to draw them. */
export function markBar(root, run, marks) {
  const { check, slider } = controls(marks, () => draw());
  const [lead, sample, from] = [make("span"), make("span", { className: "doubted doubted-end" }), make("span")];
  const output = make("output", { htmlFor: "mark-threshold" });
  const rates = make("p", { id: "mark-rate" });
  const why = make("p", { id: "mark-reason" });
  root.append(
    make("div", { className: "mark-controls" },
      make("label", {}, check, lead, sample), make("label", {}, from, slider), output),
    make("div", { className: "mark-words" }, rates, why),
  );

  function draw() {
    write(lead, words("switch"));
    write(sample, words("made_up"));
    write(from, words("threshold"));
    write(output, count(marks.threshold));
    slider.disabled = !marks.isOn;
    const because = told(run, marks);
    write(why, because);
    write(rates, marks.isOn && !because ? rate(run, marks.threshold) : "");
  }
  return draw;
}
