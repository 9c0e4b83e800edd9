// The tokens of a text laid out in lines.

import { make } from "./make.js";

const MOST_IN_A_BLOCK = 240;

/** Each line a block of its own, so that the rest of a long text keeps its layout. */
export class Lines {
  constructor(box) {
    this.box = box;
    this.line = null;
  }

  add(element, text) {
    if (this.line?.childElementCount >= MOST_IN_A_BLOCK) this.split();
    if (!this.line) this.box.append((this.line = make("div", { className: "line" })));
    this.line.append(element);
    if (text.endsWith("\n")) this.line = null;
  }

  // A paragraph without an end is cut where the page breaks its lines anyway.
  split() {
    const tokens = [...this.line.children];
    const top = tokens.at(-1).offsetTop;
    let first = tokens.findIndex((token) => token.offsetTop >= top);
    // The space of a line's first word hangs at the end of the line before it.
    const isHanging = first > 0 && tokens[first - 1].getClientRects().length > 1;
    if (isHanging) first -= 1;
    if (first < 1 || (isHanging && !/^\s/.test(tokens[first].textContent))) return;
    const next = make("div", { className: "line" });
    next.append(...tokens.slice(first));
    this.line.after(next);
    this.line = next;
  }

  /** Goes on where the last token stands, once some behind it were removed. */
  takeUp() {
    while (this.box.lastChild && !this.box.lastChild.firstChild) this.box.lastChild.remove();
    const last = this.box.lastChild;
    this.line = last?.lastChild.textContent.endsWith("\n") ? null : last;
  }

  clear() {
    this.box.replaceChildren();
    this.line = null;
  }
}
