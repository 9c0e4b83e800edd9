// A token as an element: its text, signs for what leaves no ink, and its colour.

import { hasInk, hasInkless, isBreak, isUnseen, quoted, redirects, shortened, visible } from "../base/glyphs.js";
import { make } from "../base/make.js";
import { say } from "../base/words.js";
import { colouring, levelOf } from "../run/colouring.js";
import { pieceOf } from "../run/step.js";

/** @import { Step } from "../run/frame.js" */

const MOST_SIGNS = 24;
const MOST_SPOKEN = 60;
const BLANKS = { "␣": "space", "⏎": "line_break", "⇥": "tab" };

/** A token's text in an element; `fallback` is its sign where it has none. */
export function tokenElement(text, { isSpecial = false, fallback = "∅" } = {}) {
  const element = make("span", { className: isSpecial ? "token special" : "token" }, text);
  if (text !== "" && !hasInkless(text)) return element;
  element.dataset.shown = visible(text || fallback);
  if (isUnseen(text)) element.classList.add("unseen");
  else if (isBreak(text)) element.classList.add("break");
  if (redirects(text)) element.classList.add("isolate");
  return element;
}

/**
 * Gives a token the colour that its numbers have now.
 * @param {Pick<Step, "sp" | "lp" | "r">} step
 */
export function paint(element, step, by = colouring()) {
  element.className = element.className.replace(/ d\d\b/, "");
  if (!step.sp) element.classList.add(`d${levelOf(step, by)}`);
}

/**
 * What is read out of a token: its text, or its signs where it leaves no ink, white space in words.
 * `fallback` is its sign where it has no text.
 */
export function spoken(text, fallback) {
  if (hasInk(text)) return quoted(text);
  const blank = (signs) => ` ${say(`views.signs.${BLANKS[signs[0]]}`, { n: signs.length })} `;
  return shortened(visible(text || fallback).replace(/␣+|⏎+|⇥+/g, blank).trim(), MOST_SPOKEN);
}

/** A step's token as a sign: its text, or the bytes of a character that is not whole. */
export const tokenText = (step) => shortened(visible(step.t || pieceOf(step)), MOST_SIGNS);
