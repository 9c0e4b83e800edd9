// The same tokens with the plain KV cache and with another one, or with none: cost and answer.

import { aboveToo, breakMarks, brokenInWords, heightAxes, heights } from "../base/broken.js";
import { make, write } from "../base/make.js";
import { baseLayout, Chart, colour, ticks } from "../base/plot.js";
import { bytes, count, duration, say, share } from "../base/words.js";
import { cornerText, fillTable, jobPanel, JobText, keyEntry, logAxis, positive, small, UNKNOWN } from "./compared.js";
import { jobOf } from "./job.js";

const KIND = "caching";
const SECONDS = [2, 3];
const FED = [4, 5];
const [KL, SAME] = [9, 10];
// What float32's rounding comes to; coarser formats differ by more, and then only the number stands.
const SAME_LOGITS = 1e-2;
const MARGIN = { l: 58, r: 12, t: 20, b: 24 };

const words = (key, args) => say(`views.caching.${key}`, args);
const otherName = (job) => words(`kind_${job.head?.other ?? "none"}`);
const isUncached = (job) => job.head?.other === "none";
const sum = (rows, column) => rows.reduce((total, row) => total + row[column], 0);

const line = (isOther) => ({
  type: "scatter",
  mode: "lines",
  name: isOther ? "other" : "plain",
  line: isOther ? { color: colour("entropy"), width: 1.7, dash: "4px,3px" } : { color: colour("drawn"), width: 1.7 },
});

function pair(rows, columns, factor, axis) {
  const x = rows.map((_, i) => i + 1);
  return columns.map((column, i) => ({
    ...line(i === 1), x, y: rows.map((row) => factor * row[column]), ...axis,
  }));
}

function linearAxis(top) {
  const marks = ticks(top, 3);
  return { ...baseLayout().yaxis, range: [0, top], tickvals: marks, ticktext: marks.map(count) };
}

/** Below the times: what no cache costs, or what another cache does to the distribution. */
function lowerPart(job) {
  const { rows } = job;
  const axis = { yaxis: "y2" };
  if (isUncached(job)) {
    const top = 1.1 * rows.reduce((most, row) => Math.max(most, row[FED[1]]), 1);
    return { data: pair(rows, FED, 1, axis), axis: linearAxis(top), title: words("fed_chart") };
  }
  const changed = rows.map((row, i) => [row, i + 1]).filter(([row]) => !row[SAME]);
  return {
    data: [
      { ...line(true), ...axis, name: "kl", x: rows.map((_, i) => i + 1), y: rows.map((row) => positive(row[KL])) },
      {
        ...axis, type: "scatter", mode: "markers", name: "changed",
        x: changed.map(([, x]) => x), y: changed.map(([row]) => positive(row[KL])),
        marker: { symbol: "x", size: 7, color: colour("mark") },
      },
    ],
    axis: logAxis(rows.map((row) => row[KL])),
    title: words("kl_chart"),
  };
}

function figure(job) {
  const base = baseLayout();
  const { rows } = job;
  // The prefill costs both the same; it and few slow inferences must not flatten the rest.
  const times = (some) => some.flatMap((row) => SECONDS.map((column) => 1000 * row[column]));
  const parts = heights(times(rows), times(rows.length > 1 ? rows.slice(1) : rows), [0.5, 1]);
  const lower = lowerPart(job);
  return {
    data: [...aboveToo(pair(rows, SECONDS, 1000), parts, 3), ...lower.data],
    layout: {
      ...base,
      margin: MARGIN,
      datarevision: `${job.id} ${rows.length}`,
      annotations: [cornerText(words("time_chart")), cornerText(lower.title, 0.36), ...breakMarks(parts)],
      xaxis: {
        ...base.xaxis, anchor: "y2", nticks: 6, tickformat: "d",
        range: [0.5, Math.max(2, job.head?.tokens.length ?? rows.length) + 0.5],
      },
      ...heightAxes(parts, base.yaxis, (value) => count(Number(value.toPrecision(3))), 3),
      yaxis2: { ...lower.axis, domain: [0, 0.35] },
    },
    remark: parts.length > 1 ? brokenInWords() : "",
  };
}

const ratio = (other, plain) => (plain > 0 ? ` (${words("times", { times: small(other / plain) })})` : "");

function meanAfterPrefill(rows, column) {
  return rows.length > 1 ? (sum(rows, column) - rows[0][column]) / (rows.length - 1) : null;
}

function tableRows({ rows, summary }) {
  const [plain, other] = SECONDS.map((column) => sum(rows, column));
  const means = SECONDS.map((column) => meanAfterPrefill(rows, column));
  const fed = FED.map((column) => sum(rows, column));
  const [held, otherHeld] = [summary?.plain_bytes ?? null, summary?.other_bytes ?? null];
  const time = (seconds) => (seconds === null ? UNKNOWN : duration(seconds));
  const size = (n) => (n === null ? UNKNOWN : bytes(n));
  return [
    [words("total_time"), time(plain), time(other) + ratio(other, plain)],
    [words("mean_time"), time(means[0]), time(means[1]) + ratio(means[1], means[0])],
    [words("fed_total"), count(fed[0]), count(fed[1]) + ratio(fed[1], fed[0])],
    [words("fed_last"), ...FED.map((column) => count(rows.at(-1)[column]))],
    [words("held"), size(held), size(otherHeld) + (held && otherHeld ? ` (${share(otherHeld / held)})` : "")],
  ];
}

function verdict(job) {
  const { rows, summary } = job;
  const changed = rows.filter((row) => !row[SAME]).length;
  const n = rows.length;
  const args = {
    n, changed, other: otherName(job),
    difference: small(summary?.largest_logit_difference), kl: small(summary?.mean_kl_nats),
  };
  const isProven = job.state === "finished" && n > 1 && changed === 0 && summary?.largest_logit_difference < SAME_LOGITS;
  const sentences = [words("differences", args), words(changed > 0 ? "changed" : "same", args)];
  if (isProven && isUncached(job)) sentences.push(words("proof"));
  return sentences.join(say("views.sentence.joint"));
}

const markOf = (row, i) => (row[SAME] ? null : [i, "flip-2", words("mark", { kl: small(row[KL]) })]);

/** The panel: cost in a table, both curves in a chart, the answer in a sentence and a text. */
export function caching(root, run) {
  const table = make("table");
  const proof = make("p", { className: "verdict" });
  const [plain, other] = [keyEntry("plain"), keyEntry("other")];
  const box = make("div", { id: "caching-chart", tabIndex: 0 });
  const textBox = make("div", { className: "marked-text", role: "group", tabIndex: 0 });
  const frame = jobPanel(
    root, run, KIND,
    make("div", { className: "numbers" }, table, proof),
    make("div", {}, make("p", { className: "key" }, plain.entry, other.entry), box),
    textBox,
  );
  const text = new JobText(textBox, markOf);
  const chart = new Chart(box, () => {
    const drawn = figure(jobOf(KIND));
    return { ...drawn, text: [`${words("title")}: ${proof.textContent}`, drawn.remark].filter(Boolean).join("; ") };
  });

  return (kinds) => {
    if (!kinds.has("job") && !kinds.has("look")) return;
    const job = jobOf(KIND);
    const hasRows = job.rows.length > 0;
    frame(kinds, hasRows);
    if (kinds.has("look")) textBox.setAttribute("aria-label", words("text"));
    text.draw(job);
    if (!hasRows) return;
    write(plain.words, words("plain"));
    write(other.words, otherName(job));
    fillTable(table, words("title"), [words("plain"), otherName(job)], tableRows(job));
    write(proof, verdict(job));
    chart.drawSoon();
  };
}
