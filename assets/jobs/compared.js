// What the panels of the longer jobs share: their frame, a text with marks, tables, small numbers.

import { make, write } from "../base/make.js";
import { baseLayout, colour } from "../base/plot.js";
import { count, currentLanguage, fixed, say } from "../base/words.js";
import { jobOf, noteOf } from "./job.js";
import { lackOf } from "./start.js";
import { MarkedText } from "../text/marked.js";

export const UNKNOWN = "–";
const MOST_LOG_TICKS = 4;

/** Has Gradio's button for a job be pressed only when it can work; `lack` says what it waits for. */
function watchStart(run, kind, lack) {
  run.watch(`${kind}-start`, () => {
    const key = lackOf(kind, run);
    const button = document.getElementById(`${kind}-start`);
    if (button) button.disabled = key !== null;
    write(lack, key === null ? "" : say(`messages.${key}`));
    lack.hidden = key === null;
  });
}

/**
 * Notes and explanation of a job's panel around what it measured, hidden until there is any.
 * @returns {(kinds, hasContent: boolean) => void} draws the frame
 */
export function jobPanel(root, run, kind, ...content) {
  const [lack, note] = [0, 1].map(() => make("p", { className: "work-note" }));
  const empty = make("p", { className: "empty" });
  const body = make("div", { className: "measured", hidden: true }, ...content);
  root.replaceChildren(lack, note, empty, body);
  watchStart(run, kind, lack);
  return (kinds, hasContent) => {
    const job = jobOf(kind);
    if (kinds.has("look")) empty.textContent = say(`views.${kind}.empty`);
    const on = job.summary?.measured_on;
    const measuredOn = on ? say("views.work.measured_on", on) : job.head?.model && hasContent ? say("views.work.measured_of", { name: job.head.model }) : "";
    write(note, [noteOf(kind), measuredOn].filter(Boolean).join(" · "));
    note.hidden = note.textContent === "";
    root.dataset.state = job.refused ? "error" : job.state;
    root.classList.toggle("is-empty", !hasContent);
    body.hidden = !hasContent;
  };
}

/** Fills a table from texts; the first of each row names it. */
export function fillTable(table, caption, columns, rows) {
  const heading = (scope) => (text) => make("th", { scope }, text);
  table.replaceChildren(
    make("caption", { className: "unseen-text" }, caption),
    make("thead", {}, make("tr", {}, make("td"), ...columns.map(heading("col")))),
    make("tbody", {}, ...rows.map(([name, ...cells]) =>
      make("tr", {}, heading("row")(name), ...cells.map((cell) => make("td", {}, cell))))),
  );
}

/** A job's tokens, marked as its rows come; `markOf(row, i, job)`: [index, class, title], or null. */
export class JobText {
  constructor(box, markOf) {
    this.text = new MarkedText(box);
    this.markOf = markOf;
    [this.id, this.rows] = ["", 0];
  }

  draw(job) {
    if (job.id !== this.id) {
      this.text.clear();
      [this.id, this.rows] = [job.id, 0];
    }
    if (!job.head) return;
    this.text.show(job.head.tokens.map(([, text]) => text));
    for (; this.rows < job.rows.length; this.rows += 1) {
      const mark = this.markOf(job.rows[this.rows], this.rows, job);
      if (mark) this.text.mark(...mark);
    }
  }
}

/** A line's sign for a chart's key, as the chart draws it, and the words to come beside it. */
export function keyEntry(name) {
  const words = make("span");
  return { words, entry: make("span", {}, make("i", { className: `line-sign ${name}` }), words) };
}

const superscript = (n) => String(n).replace(/./g, (sign) => (sign === "-" ? "⁻" : "⁰¹²³⁴⁵⁶⁷⁸⁹"[sign]));

/** A number of any size, two or three digits of it; "–" where there is none. */
export function small(value) {
  if (value === null || value === undefined) return UNKNOWN;
  if (value === 0 || Math.abs(value) >= 0.001) {
    return value.toLocaleString(currentLanguage(), { maximumSignificantDigits: 3 });
  }
  const power = Math.floor(Math.log10(Math.abs(value)));
  return `${fixed(value / 10 ** power, 1)}·10${superscript(power)}`;
}

const powerOfTen = (power) => (Math.abs(power) < 3 ? count(10 ** power) : `10${superscript(power)}`);

/** A logarithmic axis over the positive ones of `values`, with a mark at few powers of ten. */
export function logAxis(values, room = 0) {
  const logs = values.filter((value) => value > 0).map(Math.log10);
  const low = Math.floor(logs.reduce((a, b) => Math.min(a, b), Infinity) - room);
  const high = Math.ceil(logs.reduce((a, b) => Math.max(a, b), -Infinity) + room);
  const [from, to] = logs.length > 0 ? [low, Math.max(high, low + 1)] : [-3, 0];
  const step = Math.ceil((to - from) / MOST_LOG_TICKS);
  const powers = Array.from({ length: Math.floor((to - from) / step) + 1 }, (_, i) => from + i * step);
  return {
    ...baseLayout().yaxis,
    type: "log",
    range: [from, to],
    tickvals: powers.map((power) => 10 ** power),
    ticktext: powers.map(powerOfTen),
  };
}

/** Words in a chart's upper left corner, or in that of the part below `y`. */
export const cornerText = (text, y = 1) => ({
  text, x: 0, y, xref: "paper", yref: "paper", xanchor: "left", yanchor: "bottom",
  showarrow: false, font: { size: 11.5, color: colour("soft") },
});

/** Zero has no place on a logarithmic axis: a gap. */
export const positive = (value) => (value > 0 ? value : null);
