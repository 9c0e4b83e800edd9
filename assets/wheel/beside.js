// Two branches side by side from a little before the step where they part.

import { surpriseLevel } from "../run/colouring.js";
import { visible } from "../base/glyphs.js";
import { make, write } from "../base/make.js";
import { stepOf, store, surprisal } from "../run/store.js";
import { logprob, parting } from "../run/tree.js";
import { fixed, percent, say } from "../base/words.js";

const BEFORE = 8;
const MOST_SIGNS = 24;

const words = (key, args) => say(`views.branches.${key}`, args);

/** A step's token as a sign: its text, or the bytes of a character that is not whole. */
export function tokenText(step) {
  const signs = Array.from(visible(step.t || step.c.find(([id]) => id === step.id)?.[1] || step.k || "∅"));
  return signs.length > MOST_SIGNS ? `${signs.slice(0, MOST_SIGNS - 1).join("")}…` : signs.join("");
}

/** Nats in short. */
export const nats = (value) => (value === null ? "…" : Number.isFinite(value) ? fixed(value, 1) : "−∞");

function token(step) {
  const element = make("span", { className: step.sp ? "token special" : `token d${surpriseLevel(surprisal(step))}` });
  element.textContent = step.t.trim() && !step.sp ? step.t : tokenText(step);
  if (step.t.endsWith("\n")) element.append("\n");
  element.title = words("token_title", { p: percent(step.p), rank: step.r });
  if (step.f) element.classList.add("forced");
  return element;
}

class Column {
  constructor() {
    this.name = make("h3");
    this.figures = make("p", { className: "reading" });
    this.place = make("p", { className: "reading" });
    this.text = make("p", { className: "text", tabIndex: 0 });
    this.box = make("div", {}, this.name, this.figures, this.place, this.text);
  }

  clear(number, parted) {
    this.number = number;
    this.next = Math.max(0, parted - BEFORE);
    this.text.replaceChildren(...(this.next > 0 ? ["… "] : []));
  }

  /** Adds the steps that are new, and says what the branch comes to. */
  update(parted) {
    for (let step = stepOf(this.number, this.next); step; step = stepOf(this.number, this.next)) {
      const element = token(step);
      element.classList.toggle("before", this.next < parted);
      this.text.append(element);
      this.next += 1;
    }
    const [n, total] = [this.next, logprob(this.number)];
    const perplexity = n > 0 && total !== null ? Math.exp(-total / n) : Infinity;
    write(this.name, words("name", { number: String(this.number + 1) }));
    this.text.setAttribute("aria-label", this.name.textContent);
    write(this.figures, words("column", { value: nats(total), n, perplexity: Number.isFinite(perplexity) ? fixed(perplexity, 2) : "∞" }));
    const at = stepOf(this.number, parted);
    write(this.place, at ? words("parting", { number: parted + 1, token: tokenText(at), p: percent(at.p) }) : words("ends_before"));
  }
}

/** The section that compares the shown branch with `other`; hidden while that is null. */
export class SideBySide {
  constructor() {
    this.title = make("h3");
    this.close = make("button", { type: "button", className: "quiet" });
    this.columns = [new Column(), new Column()];
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
    const pair = [store.branch, this.other];
    const isShown = this.other !== store.branch && Boolean(store.branches[this.other]);
    if (this.box.hidden === isShown) this.box.hidden = !isShown;
    if (!isShown) return;
    const key = [store.run, ...pair].join(" ");
    const known = key === this.drawnFor ? this.parted : 0;
    this.parted = parting(...pair, known);
    if (key !== this.drawnFor || this.parted !== known) this.columns.forEach((column, i) => column.clear(pair[i], this.parted));
    this.drawnFor = key;
    for (const column of this.columns) column.update(this.parted);
  }
}
