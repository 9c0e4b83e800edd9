// Tokens that a step could have taken, as buttons that continue with them.

import { redirects, shortened, visible } from "../base/glyphs.js";
import { make } from "../base/make.js";
import { count, percent, say } from "../base/words.js";

const MOST_SHOWN = 40;

/** A token's text with every character made visible, in an element. */
export function tokenName(text, properties = {}) {
  const name = make("code", properties, shortened(visible(text || "∅"), MOST_SHOWN));
  if (redirects(text)) name.style.unicodeBidi = "isolate";
  return name;
}

function bars(p, q, top) {
  const [own, drawn] = [make("i", { className: "own" }), make("i", { className: "drawn" })];
  own.style.width = `${(100 * p) / top}%`;
  drawn.style.width = `${(100 * q) / top}%`;
  // A cut token has no second bar, however thin.
  const box = make("span", { className: "bars" }, own, ...(q > 0 ? [drawn] : []));
  box.setAttribute("aria-hidden", "true");
  return box;
}

function numbers(p, q) {
  const after = q > 0 ? make("b", {}, percent(q)) : make("span", {}, say("views.inspector.cut"));
  return make("span", { className: "numbers" }, `${percent(p)} → `, after);
}

const rankOf = ({ rank }) => (rank === null ? "–" : count(rank));

const unseen = (text) => make("span", { className: "unseen-text" }, text);

/** The rank as a number; whoever hears it is told what it is. */
function rank(entry) {
  const [before, after] = say("views.inspector.spoken_rank").split("{rank}");
  return [unseen(before), make("span", { className: "rank" }, rankOf(entry)), unseen(after)];
}

function signs({ isOwn, isNext }) {
  const marks = [];
  if (isOwn) marks.push(make("span", { className: "own-mark", title: say("views.inspector.taken") }, "●"));
  if (isNext) marks.push(make("span", { className: "next-mark", title: say("views.inspector.would_take") }, "◆"));
  return make("span", { className: "marks" }, ...marks);
}

function row(entry, top, isAllowed) {
  const go = make(
    "button",
    { type: "button", className: "go" },
    signs(entry),
    ...rank(entry),
    tokenName(entry.text),
    bars(entry.p, entry.q, top),
    numbers(entry.p, entry.q),
  );
  const once = make("button", { type: "button", className: "once", title: say("views.inspector.once_help") }, "+1");
  once.append(unseen(` ${shortened(visible(entry.text || "∅"), MOST_SHOWN)}`));
  go.title = say("views.inspector.go_help");
  for (const button of [go, once]) {
    button.dataset.tokenId = entry.id;
    button.tabIndex = -1;
    button.setAttribute("aria-disabled", String(!isAllowed));
  }
  return make("li", { className: entry.q > 0 ? "" : "is-cut" }, go, once);
}

const MOVES = { ArrowDown: [1, 0], ArrowUp: [-1, 0], ArrowRight: [0, 1], ArrowLeft: [0, -1] };

/** A list of tokens; `choose(id, isOnce)` is called for the one that is to be continued with. */
export class TokenList {
  constructor(choose, className = "tokens") {
    this.list = make("ol", { className });
    this.list.addEventListener("keydown", (event) => this.move(event));
    this.list.addEventListener("click", (event) => {
      const button = event.target.closest("button");
      if (!button || button.getAttribute("aria-disabled") === "true") return;
      choose(Number(button.dataset.tokenId), event.shiftKey || button.className === "once");
    });
  }

  /** Shows entries `{id, text, p, q, rank, isOwn, isNext}`; the focus stays at its place. */
  show(entries, isAllowed) {
    const focused = this.list.contains(document.activeElement) ? document.activeElement : null;
    const place = focused && this.placeOf(focused);
    const top = Math.max(1e-9, ...entries.flatMap(({ p, q }) => [p, q]));
    this.list.replaceChildren(...entries.map((entry) => row(entry, top, isAllowed)));
    const first = this.list.querySelector("button");
    if (first) first.tabIndex = 0;
    if (place) this.focus(...place);
  }

  placeOf(button) {
    return [[...this.list.children].indexOf(button.parentNode), button.className === "once" ? 1 : 0];
  }

  focus(index, column) {
    const items = this.list.children;
    const button = items[Math.max(0, Math.min(items.length - 1, index))]?.children[Math.max(0, Math.min(1, column))];
    if (!button) return;
    for (const other of this.list.querySelectorAll("[tabindex='0']")) other.tabIndex = -1;
    button.tabIndex = 0;
    button.focus();
  }

  move(event) {
    if (!(event.key in MOVES) || event.altKey || event.ctrlKey || event.metaKey) return;
    const [index, column] = this.placeOf(event.target);
    const [down, right] = MOVES[event.key];
    event.preventDefault();
    event.stopPropagation();
    this.focus(index + down, column + right);
  }
}
