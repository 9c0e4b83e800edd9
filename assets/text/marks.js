// Words that may be made up: which they are on the shown path, and the look of their tokens.

import { recall, remember } from "../base/remember.js";
import { evaluation } from "../run/measured.js";

const KEY = "marks";

/**
 * What a step says of the word it is in; `own` is the doubt without that of the words before. A text
 * that was given is nobody's invention here: its words are in no doubt.
 */
function told({ i, ph, w: [start, doubt, own] = [i, null, null] }) {
  if (ph === "score") return { start, end: i + 1, doubt: null, own: null };
  return { start, end: i + 1, doubt, own: own ?? doubt };
}

/**
 * The words of a path, each `{ start, end, doubt, own, isMarked }` in steps, `end` excluded.
 *
 * Of a word the last step's doubt counts, so that a mark comes, goes and moves while the word is
 * written.
 */
export class Marks {
  /** `elements` of the steps, by index; `restyled(index)` is told of each whose mark changed. */
  constructor(elements, restyled) {
    this.elements = elements;
    this.restyled = restyled;
    this.wordOf = [];
    this.isOn = recall(KEY) !== "off";
    this.threshold = evaluation?.threshold ?? 0.5;
  }

  /** The word that step `index` belongs to; undefined where there is none. */
  wordAt(index) {
    return this.wordOf[index];
  }

  isMarked(index) {
    return this.wordOf[index]?.isMarked ?? false;
  }

  /** Takes the path's next step, whose element is there. */
  add(step) {
    const now = told(step);
    const last = this.wordOf[step.i - 1];
    const word = last?.start === now.start ? last : { isMarked: false };
    this.wordOf[step.i] = Object.assign(word, now);
    this.show(word, Math.max(word.start, step.i - 1));
  }

  /** Forgets what lies behind the first `length` of these steps. */
  cut(length, steps) {
    if (length >= this.wordOf.length) return;
    this.wordOf.length = length;
    const word = this.wordOf[length - 1];
    if (!word) return;
    this.show(Object.assign(word, told(steps[length - 1])), length - 1);
  }

  switchTo(isOn) {
    this.isOn = isOn;
    remember(KEY, isOn ? "on" : "off");
    this.showAll();
  }

  setThreshold(value) {
    this.threshold = value;
    this.showAll();
  }

  /** Each word whose mark changed, once. */
  showAll() {
    for (let i = 0; i < this.wordOf.length; i = this.wordOf[i].end) this.show(this.wordOf[i], this.wordOf[i].end);
  }

  /** Where the mark changed all of the word is restyled, else only what stands from `from` on. */
  show(word, from) {
    const isMarked = this.isOn && word.doubt !== null && word.doubt >= this.threshold;
    const first = isMarked === word.isMarked ? from : word.start;
    word.isMarked = isMarked;
    for (let i = first; i < word.end; i += 1) {
      const { classList } = this.elements[i];
      classList.toggle("doubted", isMarked);
      classList.toggle("doubted-end", isMarked && i === word.end - 1);
      this.restyled(i);
    }
  }
}
