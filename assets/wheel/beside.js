// Two branches side by side from a little before the step where they part.

import { make, write } from "../base/make.js";
import { fixed, percent, say } from "../base/words.js";
import { logprob, parting } from "../run/tree.js";
import { paint, tokenElement, tokenText } from "../text/token.js";

const BEFORE = 8;

const words = (key, args) => say(`views.branches.${key}`, args);

/** Nats in short. */
export const nats = (value) => (value === null ? "…" : Number.isFinite(value) ? fixed(value, 1) : "−∞");

function token(step) {
  const element = tokenElement(step.t.trim() && !step.sp ? step.t : tokenText(step), { isSpecial: Boolean(step.sp) });
  paint(element, step, "probability");
  if (step.t.endsWith("\n")) element.append("\n");
  element.title = words("token_title", { p: percent(step.p), rank: step.r });
  if (step.f) element.classList.add("forced");
  return element;
}

class Column {
  constructor(run) {
    this.run = run;
    this.name = make("h3");
    this.figures = make("p", { className: "reading" });
    this.place = make("p", { className: "reading" });
    this.text = make("p", { className: "text", role: "group", tabIndex: 0 });
    this.box = make("div", {}, this.name, this.figures, this.place, this.text);
  }

  clear(number, parted) {
    this.number = number;
    this.next = Math.max(0, parted - BEFORE);
    this.text.replaceChildren(...(this.next > 0 ? ["… "] : []));
  }

  /** Adds the steps that are new, and says what the branch comes to. */
  update(parted) {
    const { run } = this;
    for (let step = run.stepOf(this.number, this.next); step; step = run.stepOf(this.number, this.next)) {
      const element = token(step);
      element.classList.toggle("before", this.next < parted);
      this.text.append(element);
      this.next += 1;
    }
    const [n, total] = [this.next, logprob(run, this.number)];
    const perplexity = n > 0 && total !== null ? Math.exp(-total / n) : Infinity;
    write(this.name, words("name", { number: String(this.number + 1) }));
    this.text.setAttribute("aria-label", this.name.textContent);
    write(this.figures, words("column", { value: nats(total), n, perplexity: Number.isFinite(perplexity) ? fixed(perplexity, 2) : "∞" }));
    const at = run.stepOf(this.number, parted);
    write(this.place, at ? words("parting", { number: parted + 1, token: tokenText(at), p: percent(at.p) }) : words("ends_before"));
  }
}

/** The section that compares the shown branch with `other`; hidden while that is null. */
export class SideBySide {
  constructor(run) {
    this.run = run;
    this.title = make("h3");
    this.close = make("button", { type: "button", className: "quiet" });
    this.columns = [new Column(run), new Column(run)];
    const pair = make("div", { className: "pair" }, ...this.columns.map(({ box }) => box));
    this.box = make("section", { id: "side-by-side", hidden: true }, make("header", { className: "side-header" }, this.title, this.close), pair);
    this.other = null;
    this.drawnFor = "";
  }

  word() {
    write(this.title, words("side_by_side"));
    write(this.close, words("close"));
    this.drawnFor = "";
  }

  draw() {
    const { run } = this;
    const pair = [run.branch, this.other];
    const isShown = this.other !== run.branch && Boolean(run.branches[this.other]);
    if (this.box.hidden === isShown) this.box.hidden = !isShown;
    if (!isShown) return;
    const key = [run.id, ...pair].join(" ");
    const known = key === this.drawnFor ? this.parted : 0;
    this.parted = parting(run, ...pair, known);
    if (key !== this.drawnFor || this.parted !== known) this.columns.forEach((column, i) => column.clear(pair[i], this.parted));
    this.drawnFor = key;
    for (const column of this.columns) column.update(this.parted);
  }
}
