// The texts that were scored in this visit, and two of them side by side.

import { visible } from "../base/glyphs.js";
import { make, write } from "../base/make.js";
import { touchAll } from "../base/watched.js";
import { count, fixed, say, share } from "../base/words.js";
import { UNKNOWN } from "../jobs/compared.js";
import { Abreast, NAMES } from "./abreast.js";
import { collect, MOST_TEXTS, remove, scoredTexts } from "./scored.js";

const COLUMNS = ["model", "tokens", "perplexity", "per_byte", "entropy", "favourites"];

const MOST_SIGNS = 44;

const words = (key, args) => say(`views.score.${key}`, args);

const number = (value, digits) => {
  if (value === null) return UNKNOWN;
  return Number.isFinite(value) ? fixed(value, digits) : "∞";
};

/** A text's first words, by which its row is told from the others. */
function opening(text) {
  const signs = Array.from(visible(text.trim().slice(0, 2 * MOST_SIGNS)).replaceAll("␣", " "));
  return signs.length > MOST_SIGNS ? `${signs.slice(0, MOST_SIGNS).join("")}…` : signs.join("");
}

const cells = (text) => [
  text.precision ? `${text.model} · ${text.precision}` : text.model,
  count(text.tokens.length),
  number(text.perplexity, text.perplexity < 100 ? 2 : 0),
  number(text.bitsPerByte, 3),
  number(text.entropy, 2),
  share(text.favourites),
];

/** A row of the table: made once, so that the focus stays where it is. */
class Row {
  constructor(scored, choose) {
    this.scored = scored;
    this.box = make("input", { type: "checkbox" });
    this.letter = make("b");
    this.name = make("th", { scope: "row" });
    this.numbers = COLUMNS.map(() => make("td"));
    this.button = make("button", { type: "button", className: "quiet" });
    this.element = make(
      "tr", {},
      make("td", {}, make("label", {}, this.box, this.letter)),
      this.name, ...this.numbers, make("td", {}, this.button),
    );
    this.box.addEventListener("change", () => choose(scored, this.box.checked));
    this.button.addEventListener("click", () => remove(scored));
  }

  draw(place) {
    const text = opening(this.scored.text);
    write(this.name, text);
    cells(this.scored).forEach((value, i) => write(this.numbers[i], value));
    this.box.checked = place >= 0;
    this.box.setAttribute("aria-label", words("choose", { text }));
    write(this.letter, NAMES[place] ?? "");
    write(this.button, words("remove"));
    this.button.setAttribute("aria-label", words("remove_text", { text }));
  }
}

/** The panel: one row for each text, and the two that were chosen. */
export function scorePanel(root, run) {
  const [empty, hint, explained] = ["empty", "remark", "remark"].map((className) => make("p", { className }));
  const [caption, head, body] = [make("caption", { className: "unseen-text" }), make("tr"), make("tbody")];
  const table = make("table", {}, caption, make("thead", {}, head), body);
  const abreast = new Abreast();
  const content = make("div", { className: "measured" }, make("div", { className: "numbers scored" }, table), hint, abreast.element, explained);
  root.replaceChildren(empty, content);
  let rows = [];
  let chosen = [];

  // Kept also while this panel is out of sight.
  run.watch("scored-texts", () => collect(run));

  function choose(scored, isOn) {
    const others = chosen.filter((one) => one !== scored);
    chosen = isOn ? [...others, scored].slice(-NAMES.length) : others;
    touchAll("scored");
  }

  function update() {
    const texts = scoredTexts();
    chosen = chosen.filter((scored) => texts.includes(scored));
    const now = texts.map((scored) => rows.find((row) => row.scored === scored) ?? new Row(scored, choose));
    if (now.length !== rows.length || now.some((row, i) => row !== rows[i])) body.replaceChildren(...now.map(({ element }) => element));
    rows = now;
    for (const row of rows) row.draw(chosen.indexOf(row.scored));
    root.classList.toggle("is-empty", rows.length === 0);
    content.hidden = rows.length === 0;
    abreast.show(chosen);
    write(hint, chosen.length === NAMES.length ? "" : words(rows.length > 1 ? "choose_two" : "score_another"));
    hint.hidden = hint.textContent === "";
  }

  function word() {
    write(empty, words("empty"));
    write(caption, words("title"));
    write(explained, words("explained", { n: MOST_TEXTS }));
    const heading = (text) => make("th", { scope: "col" }, text);
    head.replaceChildren(heading(words("pair_title")), heading(words("text")), ...COLUMNS.map((key) => heading(words(key))), make("td"));
  }

  return (kinds) => {
    if (kinds.has("look")) word();
    if (kinds.has("scored") || kinds.has("look")) update();
    if (kinds.has("colouring")) abreast.repaint();
    if (kinds.has("look")) {
      abreast.repaint();
      abreast.word();
    }
  };
}
