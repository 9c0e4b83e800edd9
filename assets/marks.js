// Words that may be made up: which they are on the shown path, and the look of their tokens.

import { recall, remember } from "./remember.js";
import { evaluation } from "./measured.js";

const KEY = "marks";

/**
 * The words of a path, each `{ start, end, doubt, isMarked }` in steps, `end` excluded.
 *
 * A step says which word it belongs to and how doubtful that word is so far: of a word the last
 * step's doubt counts, so that a mark comes, goes and moves while the word is written.
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
  add({ i: index, w: [start, doubt] = [index, null] }) {
    const last = this.wordOf[index - 1];
    const word = last?.start === start ? last : { start, end: index, doubt: null, isMarked: false };
    this.wordOf[index] = word;
    Object.assign(word, { end: index + 1, doubt });
    this.show(word, Math.max(start, index - 1));
  }

  /** Forgets what lies behind the first `length` of these steps. */
  cut(length, steps) {
    if (length >= this.wordOf.length) return;
    this.wordOf.length = length;
    const word = this.wordOf[length - 1];
    if (!word) return;
    Object.assign(word, { end: length, doubt: steps[length - 1].w?.[1] ?? null });
    this.show(word, length - 1);
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
