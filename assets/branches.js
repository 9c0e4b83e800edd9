// The branches of a run: where each left, how likely its text was, and two of them side by side.

import { visible } from "./glyphs.js";
import { make, write } from "./make.js";
import { canFork, order, pathOf, pin, showBranch, store, surprisal } from "./store.js";
import { doubt } from "./stream.js";
import { fixed, percent, say } from "./words.js";

const BEFORE = 6;
const sums = new Map();

/** Of a branch's whole text, in nats; each step is added once. */
function logprob(number) {
  const { parent, at, steps } = store.branches[number];
  const key = `${store.run} ${number}`;
  if (!sums.has(key)) {
    if (sums.size > 2000) sums.clear();
    const before = parent === null ? [] : pathOf(parent).slice(0, at);
    sums.set(key, { n: 0, nats: before.reduce((sum, step) => sum + (step.lp ?? -Infinity), 0) });
  }
  const sum = sums.get(key);
  for (; sum.n < steps.length; sum.n += 1) sum.nats += steps[sum.n].lp ?? -Infinity;
  return sum.nats;
}

const lengthOf = ({ at, steps }) => at + steps.length;
const words = (key, args) => say(`views.branches.${key}`, args);
const shown = (step) => visible(step.t || step.c.find(([id]) => id === step.id)?.[1] || step.k || "∅");
const nats = (value) => (Number.isFinite(value) ? fixed(value, 1) : "−∞");

/** The parent's step at the place where a branch left it. */
function instead({ parent, at }) {
  if (parent === null) return null;
  return pathOf(parent)[at] ?? null;
}

function depth(number) {
  let levels = 0;
  for (let next = store.branches[number].parent; next !== null; next = store.branches[next].parent) levels += 1;
  return levels;
}

/** Numbers in the order of a tree: each branch before those that left it. */
function inOrder() {
  const children = new Map();
  store.branches.forEach(({ parent }, number) => children.set(parent, [...(children.get(parent) ?? []), number]));
  const list = [];
  const visit = (number) => {
    list.push(number);
    (children.get(number) ?? []).forEach(visit);
  };
  visit(0);
  return list;
}

function row(number, choose, compareWith) {
  const branch = store.branches[number];
  const first = branch.steps[0];
  const other = instead(branch);
  const total = logprob(number);
  const length = lengthOf(branch);
  const name = words("name", { number: String(number + 1) });
  const left = branch.parent === null
    ? words("first")
    : words(other ? "left_for" : "left", { at: branch.at + 1, token: first ? shown(first) : "…", other: other ? shown(other) : "" });
  const pick = make("button", { type: "button", className: "branch" }, make("b", {}, name), make("span", { className: "left" }, left));
  pick.style.marginInlineStart = `${Math.min(6, depth(number)) * 14}px`;
  pick.setAttribute("aria-pressed", String(number === store.branch));
  pick.addEventListener("click", () => choose(number));
  const end = branch.steps.at(-1)?.fin;
  const figures = [
    words("tokens", { n: length }),
    words("logprob", { value: nats(total) }),
    length > 0 ? words("mean", { value: nats(total / length) }) : "",
    end ? words(`end_${end}`) : words("open"),
  ];
  const go = make("button", { type: "button", className: "quiet" }, words("go_on"));
  go.disabled = !canFork() || Boolean(end);
  go.addEventListener("click", () => {
    choose(number);
    order();
  });
  const beside = make("button", { type: "button", className: "quiet" }, words("compare"));
  beside.disabled = number === store.branch;
  beside.addEventListener("click", () => compareWith(number));
  return make("li", {}, pick, make("span", { className: "figures" }, figures.filter(Boolean).join(" · ")), go, beside);
}

function token(step) {
  const element = make("span", { className: step.sp ? "token special" : `token d${doubt(surprisal(step))}` }, shown(step).replaceAll("␣", " "));
  element.title = words("token_title", { p: percent(step.p), rank: step.r });
  if (step.f) element.classList.add("forced");
  return element;
}

function column(number, path, parted) {
  const total = logprob(number);
  const start = Math.max(0, parted - BEFORE);
  const text = make("p", { className: "text" }, ...(start > 0 ? ["… "] : []));
  path.slice(start).forEach((step, i) => {
    const element = token(step);
    if (start + i < parted) element.classList.add("before");
    text.append(element);
  });
  const perplexity = path.length > 0 ? Math.exp(-total / path.length) : NaN;
  const figures = words("column", {
    value: nats(total),
    perplexity: Number.isFinite(perplexity) ? fixed(perplexity, 2) : "∞",
    n: path.length,
  });
  const at = path[parted];
  const here = at ? words("parting", { number: parted + 1, token: shown(at), p: percent(at.p) }) : words("ends_before");
  return make("div", {}, make("h3", {}, words("name", { number: String(number + 1) })), make("p", { className: "reading" }, figures), make("p", { className: "reading" }, here), text);
}

/** Index of the first step at which two paths chose differently, or one ends. */
function parting(one, other) {
  const shorter = Math.min(one.length, other.length);
  for (let i = 0; i < shorter; i += 1) if (one[i].id !== other[i].id) return i;
  return shorter;
}

export function branches(root) {
  const title = make("h2");
  const list = make("ul", { className: "tree" });
  const pair = make("div", { className: "pair" });
  const close = make("button", { type: "button", className: "quiet" });
  const side = make("section", { id: "side-by-side", hidden: true }, make("header", { className: "side-header" }, make("h3"), close), pair);
  root.replaceChildren(make("header", {}, title), list, side);
  let compared = null;

  const choose = (number) => {
    pin(null);
    showBranch(number);
  };
  const compareWith = (number) => {
    compared = number;
    draw();
    side.scrollIntoView({ block: "nearest" });
  };
  close.addEventListener("click", () => compareWith(null));

  function draw() {
    const number = compared;
    const isKnown = number !== null && store.branches[number] && number !== store.branch;
    list.replaceChildren(...(store.branches.length > 1 ? inOrder().map((n) => row(n, choose, compareWith)) : []));
    side.hidden = !isKnown;
    if (!isKnown) return pair.replaceChildren();
    const [one, other] = [pathOf(store.branch), pathOf(number)];
    const parted = parting(one, other);
    write(side.querySelector("h3"), words("side_by_side"));
    pair.replaceChildren(column(store.branch, one, parted), column(number, other, parted));
  }

  return (kinds) => {
    if (kinds.has("run")) compared = null;
    root.closest("#branches-panel").hidden = store.branches.length < 2;
    if (kinds.has("look")) {
      write(title, words("title"));
      write(close, words("close"));
      list.setAttribute("aria-label", words("title"));
    }
    // Not at each token: the figures of a branch are read when it rests.
    if (["look", "tree", "branch", "state", "run"].some((kind) => kinds.has(kind))) draw();
  };
}
