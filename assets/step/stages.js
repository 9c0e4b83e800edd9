// One distribution on its way through the settings, a row for each of them.

import { make } from "../base/make.js";
import { count, fixed, percent, say } from "../base/words.js";
import { tokenName } from "./candidates.js";

const LEADING = 8;
const CUT_SHOWN = 5;

const word = (key, args) => say(`views.inspector.${key}`, args);

function header(tokens) {
  const numbers = ["stage", "left", "cut_count", "cut_mass", "moved", "entropy"].map((key) =>
    make("th", { scope: "col", title: word(`${key}_help`) }, word(key)),
  );
  const names = tokens.map(({ text }) => make("th", { scope: "col", className: "leading" }, tokenName(text)));
  return make("tr", {}, ...numbers, ...names);
}

const cell = (text) => make("td", {}, text);

function bar(p, before, top, name) {
  const box = make("td", { className: "leading" });
  if (before === 0) return box;
  if (p === 0) {
    box.append(make("span", { className: "ended" }, "✕"));
    box.title = word("cut_by", { name });
    box.setAttribute("aria-label", box.title);
    return box;
  }
  const column = make("i");
  column.style.height = `${Math.max(2, (100 * p) / top)}%`;
  box.append(make("span", { className: "pillar" }, column));
  box.title = percent(p);
  box.setAttribute("aria-label", box.title);
  return box;
}

const nameOf = (stage) => stage.setting ?? stage.name;

function named(stage) {
  const name = make("th", { scope: "row", title: stage.name }, make("b", {}, nameOf(stage)));
  if (stage.value !== null) name.append(` ${stage.value}`);
  return name;
}

function cutLine(stage, width) {
  const shown = stage.cut_tokens.slice(0, CUT_SHOWN);
  const box = make("td", { colSpan: width }, word("cut_first"));
  for (const [, text, p] of shown) box.append(" ", tokenName(text), ` ${percent(p)}`);
  if (stage.cut > shown.length) box.append(` ${word("cut_more", { n: stage.cut - shown.length })}`);
  return make("tr", { className: "cut-line" }, box);
}

/** The favourites, and the token that was or would be taken when it is none of them. */
function leading(answer, ids) {
  const places = answer.candidates.map((_, place) => place);
  const wanted = places.filter((place) => ids.includes(answer.candidates[place][0]));
  const kept = new Set([...new Set([...wanted, ...places])].slice(0, LEADING));
  return places.filter((place) => kept.has(place)).map((place) => ({ place, text: answer.candidates[place][1] }));
}

function stageRow(stage, before, tokens, top) {
  return make(
    "tr",
    {},
    named(stage),
    cell(count(stage.kept)),
    cell(stage.cut ? count(stage.cut) : "–"),
    cell(stage.cut ? percent(stage.cut_probability) : "–"),
    cell(percent(stage.moved)),
    cell(fixed(stage.entropy_bits ?? 0, 2)),
    ...tokens.map(({ place }) => bar(stage.probabilities[place], before[place], top, nameOf(stage))),
  );
}

function rows(answer, tokens, vocabulary) {
  const own = answer.candidates.map(([, , p]) => p);
  const all = [own, ...answer.stages.map((stage) => stage.probabilities)];
  const top = Math.max(1e-9, ...all.flatMap((row) => tokens.map(({ place }) => row[place])));
  const first = make(
    "tr",
    {},
    make("th", { scope: "row" }, word("model")),
    cell(vocabulary ? count(vocabulary) : "–"),
    cell("–"), cell("–"), cell("–"),
    cell(fixed(answer.entropy_bits, 2)),
    ...tokens.map(({ place }) => bar(own[place], own[place], top, "")),
  );
  const width = 6 + tokens.length;
  const rest = answer.stages.flatMap((stage, i) => {
    const row = stageRow(stage, all[i], tokens, top);
    return stage.cut ? [row, cutLine(stage, width)] : [row];
  });
  return [first, ...rest];
}

/** Draws an inspection's stages into `box`; `ids` are tokens that must have a column. */
export function drawStages(box, answer, ids, vocabulary) {
  const tokens = leading(answer, ids);
  const caption = make("caption", { className: "unseen-text" }, word("stages"));
  const table = make(
    "table",
    { className: "stages" },
    caption,
    make("thead", {}, header(tokens)),
    make("tbody", {}, ...rows(answer, tokens, vocabulary)),
  );
  const none = answer.stages.length ? [] : [make("p", { className: "reading one-line" }, word("no_stages"))];
  box.replaceChildren(make("div", { className: "stages-scroll", tabIndex: 0 }, table), ...none);
}
