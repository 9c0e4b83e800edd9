// How many bits more each word took in one scored text than in the other: a line and sentences.

import { quoted } from "../base/glyphs.js";
import { make, write } from "../base/make.js";
import { baseLayout, Chart, colour, ticks } from "../base/plot.js";
import { count, fixed, say } from "../base/words.js";
import { wordBits } from "./aligned.js";

const FEWEST_WORDS = 2;
const MOST_STEPS = 400;
const QUOTED_WORDS = 3;
const MARGIN = { l: 40, r: 12, t: 6, b: 22 };

const words = (key, args) => say(`views.score.${key}`, args);

export const bitsText = (bits) => (Number.isFinite(bits) ? fixed(bits, 2) : "∞");

/** The difference between two scored texts, over the words that both have. */
export class Difference {
  constructor() {
    [this.total, this.most, this.meaning, this.method] = ["verdict", "verdict", "remark", "remark"].map((className) => make("p", { className }));
    const box = make("div", { id: "difference-chart" });
    this.chart = new Chart(box, () => this.figure());
    this.element = make("div", {}, this.total, this.most, this.meaning, box, this.method);
    this.rows = [];
    this.at = 0;
  }

  show(a, b) {
    this.text = a.text;
    this.rows = wordBits(a, b);
    this.at = 0;
    this.element.hidden = this.rows.length < FEWEST_WORDS;
  }

  /** Marks the word that stands on a character of the first text. */
  point(place) {
    this.at = place === null ? 0 : this.rows.findIndex(({ from, to }) => from <= place && place < to) + 1;
    this.chart.moveShapes(this.cursor());
  }

  cursor() {
    if (this.at === 0) return [];
    const line = { color: colour("accent"), width: 1.5 };
    return [{ type: "line", x0: this.at, x1: this.at, yref: "paper", y0: 0, y1: 1, line }];
  }

  line() {
    const y = this.rows.map(({ a, b }) => a - b);
    return {
      type: "scatter", mode: "lines", name: "difference_bits", x: y.map((_, i) => i + 1), y,
      line: { shape: y.length > MOST_STEPS ? "linear" : "hvh", width: 1, color: colour("drawn") },
      fill: "tozeroy", fillcolor: colour("model"),
    };
  }

  figure() {
    const base = baseLayout();
    const trace = this.line();
    const top = trace.y.reduce((most, value) => Math.max(most, Math.abs(value)), 1);
    const marks = ticks(top, 2);
    const tickvals = [...marks.slice(1).map((value) => -value), ...marks];
    return {
      data: [trace],
      layout: {
        ...base,
        margin: MARGIN,
        shapes: this.cursor(),
        xaxis: { ...base.xaxis, range: [0.5, trace.y.length + 0.5], nticks: 6, tickformat: "d" },
        yaxis: { ...base.yaxis, range: [-1.05 * top, 1.05 * top], tickvals, ticktext: tickvals.map(count) },
      },
      text: `${this.meaning.textContent} ${this.total.textContent} ${this.most.textContent}`,
    };
  }

  word() {
    const totalOf = (side) => bitsText(this.rows.reduce((total, row) => total + row[side], 0));
    const quote = ({ from, to, a, b }) =>
      words("differs", { word: quoted(this.text.slice(from, to)), a: bitsText(a), b: bitsText(b) });
    const apart = this.rows
      .filter(({ a, b }) => bitsText(a) !== bitsText(b))
      .sort((x, y) => Math.abs(y.a - y.b) - Math.abs(x.a - x.b))
      .slice(0, QUOTED_WORDS);
    const most = apart.length > 0
      ? words("most", { list: apart.map(quote).join(say("views.sentence.comma")) })
      : words("same");
    write(this.total, words("totals", { n: this.rows.length, a: totalOf("a"), b: totalOf("b") }));
    write(this.most, most);
    write(this.meaning, words("difference"));
    write(this.method, words("method"));
    this.chart.drawSoon();
  }
}
