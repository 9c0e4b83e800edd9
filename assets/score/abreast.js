// Two scored texts side by side: coloured alike, one cursor, and the difference word by word.

import { quoted } from "../base/glyphs.js";
import { make, write } from "../base/make.js";
import { percent, say } from "../base/words.js";
import { chooseColouring, colouring } from "../run/colouring.js";
import { surprisal } from "../run/step.js";
import { placeIn, rangesOf, sharedOf } from "./aligned.js";
import { bitsText, Difference } from "./difference.js";
import { MarkedText } from "../text/marked.js";
import { paint } from "../text/token.js";

export const NAMES = ["A", "B"];

const KEYS = { ArrowLeft: -1, ArrowRight: 1, PageUp: -10, PageDown: 10 };

const words = (key, args) => say(`views.score.${key}`, args);
const nameOf = ({ t, k }) => quoted(t || k || "∅");

/** One of the two texts, with its tokens as elements. */
class Side {
  constructor(name) {
    this.name = name;
    this.heading = make("h3");
    this.box = make("div", { className: "marked-text scored-text", role: "group", tabIndex: 0 });
    this.marked = new MarkedText(this.box);
    this.element = make("div", {}, this.heading, this.box);
    this.at = [];
  }

  show(scored) {
    this.scored = scored;
    this.ranges = rangesOf(scored);
    this.at = [];
    this.marked.clear();
    this.marked.show(scored.tokens.map(({ t }) => t));
    this.marked.elements.forEach((element, i) => {
      element.dataset.scoredIndex = i;
      if (scored.tokens[i].sp) element.classList.add("special");
    });
    this.box.prepend(make("span", { className: "unscored" }, scored.before));
    this.paint();
  }

  paint() {
    this.marked.elements.forEach((element, i) => paint(element, this.scored.tokens[i]));
  }

  word() {
    const { model, precision } = this.scored;
    write(this.heading, words("side", { name: this.name, model, precision }));
    this.box.setAttribute("aria-label", this.heading.textContent);
  }

  /** The tokens that stand on the characters between two places. */
  tokensIn(from, to) {
    const found = [];
    this.ranges.forEach(([start, end], i) => {
      if (start < to && end > from) found.push(i);
    });
    return found;
  }

  mark(indices, isFollowing) {
    for (const i of this.at) this.marked.elements[i].classList.remove("at");
    this.at = indices;
    for (const i of indices) this.marked.elements[i].classList.add("at");
    if (isFollowing && indices.length > 0) this.reveal(this.marked.elements[indices[0]]);
  }

  // Inside its box only: the page must not move below the pointer.
  reveal(element) {
    const [inner, outer] = [element.getBoundingClientRect(), this.box.getBoundingClientRect()];
    if (inner.top < outer.top) this.box.scrollTop -= outer.top - inner.top;
    else if (inner.bottom > outer.bottom) this.box.scrollTop += inner.bottom - outer.bottom;
  }

  /** The numbers of some of its tokens in words. */
  reading() {
    const tokens = this.at.map((i) => this.scored.tokens[i]);
    if (tokens.length === 0) return words("nothing_there", { name: this.name });
    const bits = tokens.reduce((total, token) => total + surprisal(token), 0);
    const args = {
      name: this.name, token: tokens.map(nameOf).join("|"), n: tokens.length,
      p: percent(2 ** -bits), rank: tokens[0].r, bits: bitsText(bits),
    };
    return words("token", args);
  }
}

/** The section that shows two scored texts; hidden until there are two. */
export class Abreast {
  constructor() {
    this.title = make("h3");
    this.toggle = make("button", { type: "button", id: "score-colouring", className: "quiet" });
    this.sides = NAMES.map((name) => new Side(name));
    this.hint = make("p", { id: "scored-reading", className: "reading" });
    this.difference = new Difference();
    this.element = make(
      "section", { id: "scored-pair", hidden: true },
      make("header", { className: "side-header" }, this.title, this.toggle),
      make("div", { className: "pair" }, ...this.sides.map(({ element }) => element)),
      this.hint, this.difference.element,
    );
    this.pair = [];
    this.held = null;
    this.listen();
  }

  listen() {
    this.toggle.addEventListener("click", () => chooseColouring(colouring() === "rank" ? "probability" : "rank"));
    this.sides.forEach(({ box }, side) => {
      const spotOf = ({ target }) => {
        const index = target.closest?.("[data-scored-index]")?.dataset.scoredIndex;
        return index === undefined ? null : { side, index: Number(index) };
      };
      box.addEventListener("pointerover", (event) => {
        if (event.pointerType !== "touch") this.point(spotOf(event) ?? this.held);
      });
      box.addEventListener("pointerleave", () => this.point(this.held));
      box.addEventListener("click", (event) => this.hold(spotOf(event)));
      box.addEventListener("keydown", (event) => this.move(side, event));
    });
  }

  move(side, event) {
    if (event.key === "Escape") return this.hold(null);
    if (!(event.key in KEYS)) return;
    event.preventDefault();
    const from = this.held?.side === side ? this.held.index : -1;
    const last = this.sides[side].scored.tokens.length - 1;
    this.hold({ side, index: Math.min(last, Math.max(0, from + KEYS[event.key])) });
    this.sides[side].mark(this.sides[side].at, true);
  }

  hold(spot) {
    this.held = spot;
    this.point(spot);
  }

  /** Marks a token and what stands in its place in the other text, and says the numbers of both. */
  point(spot) {
    this.spot = spot;
    const own = this.sides[spot?.side ?? 0];
    const other = this.sides[1 - (spot?.side ?? 0)];
    own.mark(spot ? [spot.index] : [], false);
    other.mark(spot ? this.counterpart(own, other, spot.index) : [], true);
    this.tell();
    const first = this.sides[0].at[0];
    this.difference.point(first === undefined ? null : this.sides[0].ranges[first][0]);
  }

  counterpart(own, other, index) {
    const [from, to] = own.ranges[index];
    const [a, b] = [own.scored.text, other.scored.text];
    const places = [from, to - 1].map((place) => placeIn(b, a, place, this.shared));
    return to <= from || places.includes(null) ? [] : other.tokensIn(places[0], places[1] + 1);
  }

  tell() {
    const readings = this.spot ? this.sides.map((side) => side.reading()) : [words("point")];
    write(this.hint, readings.join(say("views.sentence.joint")));
  }

  word() {
    if (this.pair.length < 2) return;
    write(this.title, words("pair_title"));
    for (const side of this.sides) side.word();
    this.wordToggle();
    this.tell();
    this.difference.word();
  }

  wordToggle() {
    write(this.toggle, words(`coloured_${colouring()}`));
    this.toggle.title = words("coloured_help");
  }

  repaint() {
    if (this.pair.length < 2) return;
    for (const side of this.sides) side.paint();
    this.wordToggle();
  }

  /** Shows two texts, or nothing where there are fewer. */
  show(pair) {
    if (pair.length === this.pair.length && pair.every((scored, i) => scored === this.pair[i])) return;
    this.pair = pair;
    this.element.hidden = pair.length < 2;
    if (pair.length < 2) return;
    this.sides.forEach((side, i) => side.show(pair[i]));
    this.shared = sharedOf(pair[0].text, pair[1].text);
    this.difference.show(...pair);
    this.hold(null);
    this.word();
  }
}
