// The branches of a run: where each left, how likely its text is, and the choice among them.

import { make, write } from "../base/make.js";
import { say } from "../base/words.js";
import { canFork, endsHere, order } from "../run/order.js";
import { lengthOf } from "../run/run.js";
import { inOrder, logprob } from "../run/tree.js";
import { tokenText } from "../text/token.js";
import { nats, SideBySide } from "./beside.js";
import { scaleOf, twig } from "./twigs.js";

const words = (key, args) => say(`views.branches.${key}`, args);

/** Where a branch left, with which token, and which one its parent has there. */
function leaving(run, { parent, at, steps }) {
  if (parent === null) return words("first");
  const [first, other] = [steps[0], run.stepOf(parent, at)];
  const token = first ? tokenText(first) : "…";
  return words(other ? "left_for" : "left", { at: at + 1, token, other: other ? tokenText(other) : "" });
}

function figures(run, number) {
  const branch = run.branches[number];
  const [n, total, last] = [lengthOf(branch), logprob(run, number), branch.steps.at(-1)];
  const end = last?.fin && last.ph === "score" ? "given" : last?.fin;
  const mean = n > 0 && total !== null ? words("mean", { value: nats(total / n) }) : "";
  const parts = [words("tokens", { n }), words("logprob", { value: nats(total) }), mean, words(end ? `end_${end}` : "open")];
  return parts.filter(Boolean).join(" · ");
}

/** One branch's line in the list; drawn again only where something of it changed. */
class Row {
  constructor(run, number, choose, compare) {
    [this.run, this.number, this.drawnFor] = [run, number, ""];
    [this.name, this.left, this.figures] = [make("b"), make("span", { className: "left" }), make("span", { className: "figures" })];
    [this.go, this.beside] = [0, 1].map(() => make("button", { type: "button", className: "quiet" }));
    this.pick = make("button", { type: "button", className: "branch" }, this.name, this.left);
    this.twig = make("span");
    this.element = make("li", {}, this.twig, this.pick, this.figures, this.go, this.beside);
    this.pick.addEventListener("click", () => choose(number));
    this.beside.addEventListener("click", () => compare(number));
    this.go.addEventListener("click", () => {
      choose(number);
      order(run);
    });
  }

  draw(row, scale, shape) {
    const { run } = this;
    const branch = run.branches[this.number];
    const isShown = this.number === run.branch;
    this.go.disabled = !canFork(run) || endsHere(run, branch.steps.at(-1), this.number);
    this.beside.disabled = isShown;
    const key = [lengthOf(branch), isShown, scale, shape, document.documentElement.lang].join(" ");
    if (key === this.drawnFor) return;
    this.drawnFor = key;
    this.pick.setAttribute("aria-pressed", String(isShown));
    this.element.classList.toggle("shown", isShown);
    write(this.name, words("name", { number: String(this.number + 1) }));
    write(this.left, leaving(run, branch));
    write(this.figures, figures(this.run, this.number));
    write(this.go, words("go_on"));
    write(this.beside, words("compare"));
    this.twig.replaceChildren(twig(run, row, scale));
  }
}

export function branches(root, run) {
  const [title, list, side] = [make("h2"), make("ul", { className: "tree" }), new SideBySide(run)];
  root.replaceChildren(make("header", {}, title), list, side.box);
  let rows = [];
  let drawnShape = "";

  const choose = (number) => {
    run.pin(null);
    run.showBranch(number);
  };
  const compare = (number) => {
    side.other = number;
    side.draw();
    side.box.scrollIntoView({ block: "nearest" });
  };
  side.close.addEventListener("click", () => compare(null));

  function drawRows() {
    const numbers = inOrder(run);
    const [scale, shape] = [scaleOf(run), numbers.join(",")];
    while (rows.length < numbers.length) rows.push(new Row(run, rows.length, choose, compare));
    if (shape !== drawnShape) list.replaceChildren(...numbers.map((number) => rows[number].element));
    drawnShape = shape;
    numbers.forEach((number, place) => rows[number].draw(place, scale, shape));
  }

  return (kinds) => {
    if (kinds.has("run")) {
      [rows, side.other] = [[], null];
      drawnShape = "";
    }
    root.closest("#branches-panel").hidden = run.branches.length < 2;
    if (kinds.has("look")) {
      write(title, words("title"));
      list.setAttribute("aria-label", words("title"));
      side.word();
    }
    if (run.branches.length < 2) return;
    if (!["look", "tree", "steps", "branch", "state"].some((kind) => kinds.has(kind))) return;
    drawRows();
    side.draw();
  };
}
