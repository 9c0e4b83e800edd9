// The same tokens under the model's own number format, in 8 and in 4 bits: what rounding changes.

import { make, write } from "../base/make.js";
import { baseLayout, Chart, colour } from "../base/plot.js";
import { bytes, duration, say, share } from "../base/words.js";
import { cornerText, fillTable, jobPanel, JobText, keyEntry, logAxis, positive, small, UNKNOWN } from "./compared.js";
import { jobOf } from "./job.js";

const KIND = "precision";
const [PRECISION, INDEX, KL, SAME] = [0, 1, 3, 4];
const MARGIN = { l: 58, r: 12, t: 20, b: 24 };
const SLOWER = 1.05;
const MEASURES = ["weights", "perplexity", "time", "kl", "changed"];

const words = (key, args) => say(`views.precision.${key}`, args);
// The first column is named after the format that was really loaded.
const labels = (job) => job.head.precisions.map((name, i) => job.summary?.models[i]?.precision ?? name);
const rowsOf = (job, precision) => job.rows.filter((row) => row[PRECISION] === precision);

const STYLES = [
  null,
  () => ({ line: { color: colour("drawn"), width: 1.5 }, marker: { color: colour("drawn"), symbol: "square", size: 7 } }),
  () => ({
    line: { color: colour("entropy"), width: 1.5, dash: "4px,3px" },
    marker: { color: colour("entropy"), symbol: "x", size: 7 },
  }),
];

function series(job, precision) {
  const rows = rowsOf(job, precision);
  const changed = rows.filter((row) => row[SAME] === 0);
  const { line, marker } = STYLES[precision]();
  const name = job.head.precisions[precision];
  const place = (some) => ({ x: some.map((row) => row[INDEX] + 1), y: some.map((row) => positive(row[KL])) });
  return [
    { type: "scatter", mode: "lines", name, line, ...place(rows) },
    { type: "scatter", mode: "markers", name: `${name} changed`, marker, ...place(changed) },
  ];
}

function figure(job) {
  const base = baseLayout();
  const compared = (job.head?.precisions ?? []).map((_, i) => i).slice(1);
  return {
    data: compared.flatMap((precision) => series(job, precision)),
    layout: {
      ...base,
      margin: MARGIN,
      datarevision: `${job.id} ${job.rows.length}`,
      annotations: [cornerText(words("kl_chart"))],
      xaxis: {
        ...base.xaxis, nticks: 6, tickformat: "d",
        range: [0.5, Math.max(2, job.head?.tokens.length ?? 2) + 0.5],
      },
      yaxis: logAxis(job.rows.map((row) => row[KL])),
    },
  };
}

/** What one model came to, as the table's column; "…" while it is measured. */
function column(job, precision) {
  const models = job.summary?.models ?? [];
  const model = models[precision];
  if (!model) return Array(MEASURES.length).fill(rowsOf(job, precision).length > 0 ? "…" : UNKNOWN);
  const part = precision > 0 ? ` (${share(model.weight_bytes / models[0].weight_bytes)})` : "";
  const seconds = model.seconds_per_token;
  return [
    bytes(model.weight_bytes) + part,
    small(model.perplexity),
    seconds === null ? UNKNOWN : duration(seconds),
    small(model.mean_kl_nats),
    model.changed === null ? UNKNOWN : words("of", { changed: model.changed, total: job.head.tokens.length }),
  ];
}

function tableRows(job) {
  const columns = job.head.precisions.map((_, precision) => column(job, precision));
  return MEASURES.map((name, i) => [words(name), ...columns.map((cells) => cells[i])]);
}

/** What the smaller weights cost in time, as it was measured, and why on a CPU. */
function notes(job, loaded) {
  const [first, ...others] = job.summary?.models ?? [];
  const timed = others.filter((model) => model.seconds_per_token && first.seconds_per_token);
  const times = timed.map((model) => model.seconds_per_token / first.seconds_per_token);
  const device = loaded?.name === job.head.model ? String(loaded.device) : "";
  const sentences = timed.map((model, i) => words("cost", {
    precision: model.precision, first: first.precision, times: small(times[i]),
    share: share(model.weight_bytes / first.weight_bytes),
  }));
  const isDear = device.startsWith("cpu") && times.length > 0 && times.every((time) => time > SLOWER);
  return [...sentences, ...(isDear ? [words("cpu")] : [])].join(say("views.sentence.joint"));
}

function markOf(row, _, job) {
  if (row[SAME] !== 0) return null;
  const args = { precision: job.head.precisions[row[PRECISION]], kl: small(row[KL]) };
  return [row[INDEX], `flip-${row[PRECISION]}`, words("mark", args)];
}

/** The panel: one column of a table for each precision, KL along the text, the text with marks. */
export function precision(root, run) {
  const table = make("table");
  const note = make("p", { className: "verdict" });
  const keys = [keyEntry("plain"), keyEntry("other")];
  const box = make("div", { id: "precision-chart", tabIndex: 0 });
  const textBox = make("div", { className: "marked-text", role: "group", tabIndex: 0 });
  const frame = jobPanel(
    root, run, KIND,
    make("div", { className: "numbers" }, table, note),
    make("div", {}, make("p", { className: "key" }, ...keys.map((key) => key.entry)), box),
    textBox,
  );
  const text = new JobText(textBox, markOf);
  const chart = new Chart(box, () => ({
    ...figure(jobOf(KIND)),
    text: `${words("title")}: ${words("kl_chart")}. ${note.textContent}`,
  }));

  return (kinds) => {
    if (!kinds.has("job") && !kinds.has("look")) return;
    const job = jobOf(KIND);
    const hasRows = job.rows.length > 0 && job.head !== null;
    frame(kinds, hasRows);
    if (kinds.has("look")) textBox.setAttribute("aria-label", words("text"));
    text.draw(job);
    if (!hasRows) return;
    keys.forEach((key, i) => write(key.words, words(`key_${i + 1}`, { precision: job.head.precisions[i + 1] ?? "" })));
    fillTable(table, words("title"), labels(job), tableRows(job));
    write(note, notes(job, run.loaded));
    chart.drawSoon();
  };
}
