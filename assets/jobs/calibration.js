// Whether probabilities hold what they say: over a scored text, and over the labelled questions.

import { make, write } from "../base/make.js";
import { baseLayout, Chart, colour } from "../base/plot.js";
import { count, fixed, percent, say, share } from "../base/words.js";
import { cornerText, jobPanel } from "./compared.js";
import { jobOf } from "./job.js";
import { evaluation, isMeasured } from "../run/measured.js";

const KIND = "calibration";
const MARGIN = { l: 48, r: 20, t: 20, b: 44 };
const FOOT = -0.06;
const QUARTERS = [0, 0.25, 0.5, 0.75, 1];

const words = (key, args) => say(`views.calibration.${key}`, args);
const sentences = (list) => list.filter(Boolean).join(say("views.sentence.joint"));
const isKnown = (bin) => bin.accuracy !== null && bin.accuracy !== undefined;
const tenths = (part) => `${fixed(100 * part, 1)}\u00a0%`;
const centre = (bin) => (bin.low + bin.high) / 2;
const widthOf = (bin) => 0.9 * (bin.high - bin.low);

const isDrawn = (found) => Boolean(found?.bins.some(isKnown));
const total = (bins) => bins.reduce((sum, bin) => sum + bin.count, 0);

function bars(name, bins, values, marker) {
  return {
    type: "bar", name, orientation: "v", marker,
    x: bins.map(centre), width: bins.map(widthOf), ...values,
  };
}

/** The bars, from each the way to what was said, and the interval that its share is sure to. */
function binTraces(bins) {
  const known = bins.filter(isKnown);
  const ink = colour("entropy");
  return [
    bars("right", known, { y: known.map((bin) => bin.accuracy) }, { color: colour("model") }),
    bars("gap", known, {
      base: known.map((bin) => Math.min(bin.accuracy, bin.confidence)),
      y: known.map((bin) => Math.abs(bin.confidence - bin.accuracy)),
    }, { color: "rgba(0,0,0,0)", line: { color: ink, width: 1 }, pattern: { shape: "/", fgcolor: ink, bgcolor: "rgba(0,0,0,0)", size: 6 } }),
    {
      type: "scatter", mode: "markers", name: "interval", x: known.map(centre), y: known.map((bin) => bin.accuracy),
      marker: { color: colour("ink"), size: 4 },
      error_y: {
        type: "data", symmetric: false, thickness: 1.2, width: 3, color: colour("ink"),
        array: known.map((bin) => (bin.accuracy_high ?? bin.accuracy) - bin.accuracy),
        arrayminus: known.map((bin) => bin.accuracy - (bin.accuracy_low ?? bin.accuracy)),
      },
    },
  ];
}

function countTrace(bins) {
  const some = bins.filter((bin) => bin.count > 0);
  return {
    type: "scatter", mode: "text", name: "counts", cliponaxis: false,
    x: some.map(centre), y: some.map(() => FOOT), text: some.map((bin) => count(bin.count)),
    textfont: { size: 10.5, color: some.map((bin) => colour(isKnown(bin) ? "ink" : "soft")) },
  };
}

function figure(bins, axis) {
  const base = baseLayout();
  const scale = { tickvals: QUARTERS, ticktext: QUARTERS.map(percent) };
  return {
    data: [
      ...binTraces(bins),
      {
        type: "scatter", mode: "lines", name: "diagonal", x: [0, 1], y: [0, 1],
        line: { color: colour("ink"), width: 1.2, dash: "dot" },
      },
      countTrace(bins),
    ],
    layout: {
      ...base,
      margin: MARGIN,
      barmode: "overlay",
      annotations: [cornerText(words("right_chart"))],
      xaxis: { ...base.xaxis, ...scale, range: [0, 1], title: { text: axis, font: { size: 11.5, color: colour("soft") }, standoff: 4 } },
      yaxis: { ...base.yaxis, ...scale, range: [2 * FOOT, 1.02] },
    },
  };
}

/** What a screen reader is told: each bar in words. */
const barsInWords = (bins) =>
  bins.filter(isKnown).map((bin) =>
    words("bar", { said: share(bin.confidence), right: share(bin.accuracy), n: bin.count })).join(" ");

function errorInWords(kind, { bins, ece, chance_ece: chance }, least) {
  const n = total(bins);
  if (ece === null || ece === undefined) return words(`${kind}_few`, { n, least });
  const byChance = chance === null || chance === undefined ? "" : words("chance", { chance: tenths(chance) });
  return sentences([words(`${kind}_ece`, { n, ece: tenths(ece) }), byChance]);
}

/** Which way the model errs, where there are enough to tell. */
const leaning = (temperature, differs) =>
  words(!differs ? "calibrated" : temperature > 1 ? "too_sure" : "too_unsure");

function textFit({ searched, fit, tokens, least }) {
  if (!searched || tokens < least) return "";
  if (!fit) return words("no_temperature", { n: tokens });
  const args = { t: fixed(fit.temperature, 2), n: fit.count, before: fixed(fit.loss_at_one, 3), after: fixed(fit.loss, 3) };
  return sentences([words("text_temperature", args), leaning(fit.temperature, fit.differs)]);
}

function answersFit({ temperature, temperature_answers: n, temperature_differs: differs }) {
  if (temperature === null || temperature === undefined) return "";
  const args = { t: fixed(temperature, 2), n };
  return sentences([words("answers_temperature", args), leaning(temperature, differs)]);
}

/** One diagram with what it comes to; `draw` shows it, or a sentence where there is nothing. */
function diagram(name, source) {
  const title = make("h3");
  const [explained, error, fit, remark] = ["empty", "verdict", "verdict", "remark"].map((className) => make("p", { className }));
  const box = make("div", { id: `${name}-chart`, tabIndex: 0 });
  const element = make("section", {}, title, box, explained, error, fit, remark);
  const chart = new Chart(box, () => ({
    ...figure(source()?.bins ?? [], words(`${name}_axis`)),
    text: `${title.textContent}: ${error.textContent} ${barsInWords(source()?.bins ?? [])}`,
  }));
  const draw = (texts) => {
    write(title, words(`${name}_title`));
    const parts = [[explained, texts.explained], [error, texts.error], [fit, texts.fit], [remark, texts.remark]];
    for (const [part, text] of parts) {
      write(part, text ?? "");
      part.hidden = !text;
    }
    box.hidden = !isDrawn(source());
    if (!box.hidden) chart.drawSoon();
  };
  return { element, draw };
}

const measuredHere = (run) => (isMeasured(run.loaded) && evaluation.reliability ? { ...evaluation, bins: evaluation.reliability } : null);

function drawText(side, { summary, head }) {
  if (!summary) return side.draw({ explained: words("empty") });
  side.draw({
    error: errorInWords("text", summary, summary.least),
    fit: textFit(summary),
    remark: head?.text ? words("text_of", { text: head.text }) : "",
  });
}

function drawAnswers(side, found) {
  side.element.hidden = !found;
  if (!found) return;
  side.draw({
    error: errorInWords("answers", found),
    fit: answersFit(found),
    remark: words("answers_of", { model: found.model, dtype: found.dtype ?? "", n: total(found.bins) }),
  });
}

/** The panel: the scored text's diagram, and beside it that of the questions this model answered. */
export function calibration(root, run) {
  const text = diagram("calibration", () => jobOf(KIND).summary);
  const answers = diagram("answers", () => measuredHere(run));
  const key = make("p", { className: "key" });
  const frame = jobPanel(root, run, KIND, make("div", { className: "diagrams" }, text.element, answers.element), key);
  return (kinds) => {
    if (!["job", "look", "head"].some((kind) => kinds.has(kind))) return;
    const found = measuredHere(run);
    frame(kinds, jobOf(KIND).summary !== null || found !== null);
    drawText(text, jobOf(KIND));
    drawAnswers(answers, found);
    write(key, words("key"));
    key.hidden = !isDrawn(found) && !isDrawn(jobOf(KIND).summary);
  };
}
