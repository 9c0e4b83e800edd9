// The texts that were scored in this visit: what is kept of each when its run is gone.

import { isRunning, store, touch } from "../run/store.js";

export const MOST_TEXTS = 8;

const encoder = new TextEncoder();
const removed = new Set();
let texts = [];

/** The texts that are kept, the oldest first. */
export const scoredTexts = () => texts;

/** What is kept of a step: enough to colour a token and to say its numbers. */
const tokenOf = ({ t, k, sp, lp, p, r, H }) => ({ t, k, sp, lp, p, r, H });

/** A token's surprisal in bits; infinite where the model held it impossible. */
export const bitsOf = ({ lp }) => (lp === null ? Infinity : -lp / Math.LN2);

const sum = (values) => values.reduce((total, value) => total + value, 0);

function numbersOf(tokens) {
  const n = tokens.length;
  const bits = sum(tokens.map(bitsOf));
  const bytes = encoder.encode(tokens.map(({ t }) => t).join("")).length;
  return {
    bytes,
    perplexity: 2 ** (bits / n),
    bitsPerByte: bytes > 0 ? bits / bytes : null,
    entropy: sum(tokens.map(({ H }) => H)) / n,
    favourites: tokens.filter(({ r }) => r === 1).length / n,
  };
}

// A sign that the tokenizer puts before every text is no part of the text.
const unscored = () => store.prompt.map(([, text, isSpecial]) => (isSpecial ? "" : text)).join("");

function shownText(given) {
  const tokens = given.map(tokenOf);
  const { name, quantization, dtype } = store.model ?? {};
  const before = unscored();
  return {
    run: store.run,
    model: name ?? "",
    precision: quantization ?? dtype ?? "",
    before,
    text: before + tokens.map(({ t }) => t).join(""),
    tokens,
    ...numbersOf(tokens),
  };
}

/** Keeps the text that the page shows, once it was scored; called when something changed. */
export function collect() {
  const given = isRunning() ? [] : (store.branches[0]?.steps ?? []).filter(({ ph }) => ph === "score");
  const known = texts.find(({ run }) => run === store.run);
  if (given.length === 0 || removed.has(store.run) || known?.tokens.length === given.length) return;
  const text = shownText(given);
  texts = known ? texts.map((old) => (old === known ? text : old)) : [...texts, text].slice(-MOST_TEXTS);
  touch("scored");
}

export function remove(text) {
  removed.add(text.run);
  texts = texts.filter(({ run }) => run !== text.run);
  touch("scored");
}
