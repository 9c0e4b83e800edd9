// What this machine can do at best, and where prefill and decode stand below it.

import { make, write } from "../base/make.js";
import { baseLayout, Chart, colour } from "../base/plot.js";
import { bytes, duration, fixed, say, share } from "../base/words.js";
import { cornerText, fillTable, jobPanel, keyEntry, logAxis, small } from "./compared.js";
import { jobOf } from "./job.js";

const KIND = "roofline";
const MARGIN = { l: 68, r: 16, t: 20, b: 38 };
const UNITS = ["", "k", "M", "G", "T", "P"];
const SYMBOLS = { prefill: "diamond", decode: "circle" };
const COLOURS = { prefill: "entropy", decode: "drawn" };

const words = (key, args) => say(`views.roofline.${key}`, args);

/** Operations with a decimal prefix: "1.2 GFLOP". */
function operations(n) {
  const power = Math.min(UNITS.length - 1, Math.max(0, Math.floor(Math.log10(Math.max(1, n)) / 3)));
  const value = n / 1000 ** power;
  return `${fixed(value, value < 10 ? 2 : value < 100 ? 1 : 0)}\u00a0${UNITS[power]}FLOP`;
}

/** A point with what follows from it: work for each byte, speed, and the roof above it. */
function derived(summary, point) {
  const intensity = point.flops / point.bytes;
  const speed = point.flops / point.seconds;
  const roof = Math.min(summary.flops_per_second, intensity * summary.bytes_per_second);
  return { ...point, intensity, speed, roof, isMemoryBound: roof < summary.flops_per_second };
}

const pointsOf = (summary) => summary.points.map((point) => derived(summary, point));
const ridgeOf = (summary) => summary.flops_per_second / summary.bytes_per_second;
const nameOf = ({ phase, tokens }) => words(phase, { n: tokens });

function pointTraces(point) {
  const ink = colour(COLOURS[point.phase]);
  return [
    {
      type: "scatter", mode: "lines", name: "below the roof",
      x: [point.intensity, point.intensity], y: [point.speed, point.roof],
      line: { color: ink, width: 1, dash: "dot" },
    },
    {
      type: "scatter", mode: "markers+text", name: point.phase, x: [point.intensity], y: [point.speed],
      marker: { symbol: SYMBOLS[point.phase], size: 11, color: ink },
      text: [words(`${point.phase}_short`)], textposition: "bottom center", textfont: { size: 12, color: ink },
      cliponaxis: false,
    },
  ];
}

function figure(summary) {
  const base = baseLayout();
  if (!summary) return { data: [], layout: base };
  const points = pointsOf(summary);
  const ridge = ridgeOf(summary);
  const xaxis = logAxis([ridge, ...points.map((point) => point.intensity)], 0.6);
  const [left, right] = xaxis.range.map((power) => 10 ** power);
  const peak = summary.flops_per_second;
  const yaxis = logAxis([peak, ...points.flatMap((point) => [point.speed, point.roof])], 0.4);
  return {
    data: [
      {
        type: "scatter", mode: "lines", name: "roof",
        x: [left, ridge, right], y: [left * summary.bytes_per_second, peak, peak],
        line: { color: colour("ink"), width: 2 },
      },
      ...points.flatMap(pointTraces),
    ],
    layout: {
      ...base,
      margin: MARGIN,
      annotations: [cornerText(words("speed_chart"))],
      xaxis: { ...xaxis, title: { text: words("intensity_chart"), font: { size: 11.5, color: colour("soft") }, standoff: 4 } },
      yaxis: { ...yaxis, ticktext: yaxis.tickvals.map((value) => operations(value).replace(/[.,]0+(?=\D)/, "")) },
    },
  };
}

const MEASURES = {
  flops: (point) => operations(point.flops),
  bytes: (point) => bytes(point.bytes),
  intensity: (point) => small(point.intensity),
  time: (point) => duration(point.seconds),
  speed: (point) => `${operations(point.speed)}/s`,
  of_roof: (point) => share(point.speed / point.roof),
};

const tableRows = (points) =>
  Object.entries(MEASURES).map(([name, measure]) => [words(name), ...points.map(measure)]);

function sentences(summary) {
  const ridge = small(ridgeOf(summary));
  const limits = pointsOf(summary).map((point) => words(point.isMemoryBound ? "memory_bound" : "compute_bound", {
    name: nameOf(point), intensity: small(point.intensity), ridge,
  }));
  return [...limits, words("why")].join(say("views.sentence.joint"));
}

function peaks(summary) {
  return words("peaks", {
    device: summary.device.toUpperCase(), dtype: summary.dtype, ridge: small(ridgeOf(summary)),
    flops: `${operations(summary.flops_per_second)}/s`, bytes: `${bytes(summary.bytes_per_second)}/s`,
  });
}

/** The panel: measured peaks, a table of the two points, the roofline and a sentence. */
export function roofline(root, run) {
  const measured = make("p", { className: "verdict" });
  const table = make("table");
  const limit = make("p", { className: "verdict" });
  const estimate = make("p", { className: "remark" });
  const roof = keyEntry("roof");
  const box = make("div", { id: "roofline-chart", tabIndex: 0 });
  const frame = jobPanel(
    root, run, KIND,
    make("div", { className: "numbers" }, measured, table, limit, estimate),
    make("div", {}, make("p", { className: "key" }, roof.entry), box),
  );
  const chart = new Chart(box, () => ({
    ...figure(jobOf(KIND).summary),
    text: `${words("title")}: ${measured.textContent} ${limit.textContent}`,
  }));

  return (kinds) => {
    if (!kinds.has("job") && !kinds.has("look")) return;
    const { summary } = jobOf(KIND);
    frame(kinds, summary !== null);
    if (!summary) return;
    const points = pointsOf(summary);
    write(measured, peaks(summary));
    fillTable(table, words("title"), points.map(nameOf), tableRows(points));
    write(limit, sentences(summary));
    write(estimate, words("estimate"));
    write(roof.words, words("roof"));
    chart.drawSoon();
  };
}
