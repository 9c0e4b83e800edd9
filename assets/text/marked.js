// A text of tokens, some of them marked.

import { make } from "../base/make.js";
import { tokenElement } from "./token.js";

export class MarkedText {
  constructor(box) {
    this.box = box;
    this.clear();
  }

  clear() {
    this.box.replaceChildren();
    this.elements = [];
  }

  /** Shows the tokens with these texts, unless there are some already. */
  show(texts) {
    if (this.elements.length > 0) return;
    this.elements = texts.map((text) => tokenElement(text));
    this.box.append(...this.elements);
  }

  /** Marks a token; `name` is a class, `title` what the pointer and a screen reader are told. */
  mark(index, name, title) {
    const old = this.elements[index];
    if (!old) return;
    const element = old.tagName === "MARK" ? old : make("mark", { className: old.className }, old.textContent);
    if (old.dataset.shown) element.dataset.shown = old.dataset.shown;
    element.classList.add(name);
    element.title = [old.title, title].filter(Boolean).join("; ");
    if (element !== old) old.replaceWith(element);
    this.elements[index] = element;
  }
}
