// The page's wording and its numbers as text, in the language that was chosen.

import { recall, remember } from "./remember.js";

const element = document.getElementById("decoding-live-texts");
const texts = element ? JSON.parse(element.textContent) : {};

export const languages = Object.keys(texts);

function preferred() {
  const wanted = [recall("language"), ...navigator.languages];
  for (const tag of wanted) {
    if (languages.includes(tag)) return tag;
    if (tag?.toLowerCase().startsWith("zh") && languages.includes("zh-TW")) return "zh-TW";
    if (tag?.toLowerCase().startsWith("en") && languages.includes("en")) return "en";
  }
  return languages[0];
}

let language = preferred();

export const currentLanguage = () => language;

export function chooseLanguage(tag) {
  language = tag;
  remember("language", tag);
}

function lookUp(key) {
  return key.split(".").reduce((node, part) => node?.[part], texts[language]);
}

/** The text under `key`, its {placeholders} filled; `key_one` where args.n is 1 and it exists. */
export function say(key, args = {}) {
  const template = (args.n === 1 ? lookUp(`${key}_one`) : undefined) ?? lookUp(key) ?? key;
  return template.replace(/\{(\w+)\}/g, (whole, name) => {
    const value = args[name];
    return value === undefined ? whole : typeof value === "number" ? count(value) : String(value);
  });
}

export const count = (n) => n.toLocaleString(language);

export function fixed(value, digits) {
  return value.toLocaleString(language, {
    minimumFractionDigits: digits,
    maximumFractionDigits: digits,
  });
}

const SIGN = "\u00a0%";

/** A probability as a percentage that never rounds doubt away: 0.9999 is not 100 %. */
export function percent(p) {
  if (p === 0) return `0${SIGN}`;
  if (p >= 1) return `100${SIGN}`;
  if (p > 0.999) return `>\u00a099.9${SIGN}`;
  if (p < 0.00001) return `<\u00a00.001${SIGN}`;
  const digits = p > 0.99 ? 1 : p >= 0.1 ? 0 : p >= 0.01 ? 1 : p >= 0.001 ? 2 : 3;
  return `${fixed(100 * p, digits)}${SIGN}`;
}

/** A part of a whole that it may well exceed, unlike a probability. */
export function share(part) {
  return `${fixed(100 * part, part < 0.1 ? 2 : 0)}${SIGN}`;
}

/** Decimal units, three digits; a round number, such as an axis has, without zeros. */
export function bytes(n, isRound = false) {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let power = 0;
  while (n >= 1000 && power < units.length - 1) {
    n /= 1000;
    power += 1;
  }
  const digits = power === 0 ? 0 : n < 10 ? 2 : n < 100 ? 1 : 0;
  const number = isRound
    ? n.toLocaleString(language, { maximumFractionDigits: 1 })
    : fixed(n, digits);
  return `${number}\u00a0${units[power]}`;
}

export function duration(seconds) {
  const ms = 1000 * seconds;
  if (ms >= 10000) return `${fixed(seconds, 1)} s`;
  if (ms >= 1000) return `${fixed(seconds, 2)} s`;
  return `${fixed(ms, ms < 10 ? 1 : 0)} ms`;
}
