// The texts that were scored in this visit: what is kept of each when its run is gone.

import { touchAll } from "../base/watched.js";
import { precisionOf } from "../run/config.js";
import { surprisal } from "../run/step.js";

export const MOST_TEXTS = 8;

const removed = new Set();
let texts = [];

/** The texts that are kept, the oldest first. */
export const scoredTexts = () => texts;

/** What is kept of a step: enough to colour a token and to say its numbers. */
const tokenOf = ({ t, k, sp, lp, p, r, H, tb = null }) => ({ t, k, sp, lp, p, r, H, tb });

const sum = (values) => values.reduce((total, value) => total + value, 0);

function numbersOf(tokens) {
  const n = tokens.length;
  const bits = sum(tokens.map(surprisal));
  const bytes = tokens.some(({ tb }) => tb === null) ? null : sum(tokens.map(({ tb }) => tb));
  return {
    bytes,
    perplexity: 2 ** (bits / n),
    bitsPerByte: bytes ? bits / bytes : null,
    entropy: sum(tokens.map(({ H }) => H)) / n,
    favourites: tokens.filter(({ r }) => r === 1).length / n,
  };
}

// A sign that the tokenizer puts before every text is no part of the text.
const unscored = (run) => run.prompt.map(([, text, isSpecial]) => (isSpecial ? "" : text)).join("");

function shownText(run, given) {
  const tokens = given.map(tokenOf);
  const before = unscored(run);
  return {
    run: run.id,
    model: run.model?.name ?? "",
    precision: run.model ? precisionOf(run.model) : "",
    before,
    text: before + tokens.map(({ t }) => t).join(""),
    tokens,
    ...numbersOf(tokens),
  };
}

/** Keeps the text that a run shows, once it was scored; called when something changed. */
export function collect(run) {
  const given = run.isRunning ? [] : (run.branches[0]?.steps ?? []).filter(({ ph }) => ph === "score");
  const known = texts.find((text) => text.run === run.id);
  if (given.length === 0 || removed.has(run.id) || known?.tokens.length === given.length) return;
  const text = shownText(run, given);
  texts = known ? texts.map((old) => (old === known ? text : old)) : [...texts, text].slice(-MOST_TEXTS);
  touchAll("scored");
}

export function remove(text) {
  removed.add(text.run);
  texts = texts.filter((other) => other.run !== text.run);
  touchAll("scored");
}
