// The text: the prompt's tokens, then the new ones, each coloured by its surprisal or its rank.

import { hasInk } from "../base/glyphs.js";
import { Lines } from "../base/lines.js";
import { make, write } from "../base/make.js";
import { percent, say } from "../base/words.js";
import { colouring } from "../run/colouring.js";
import { pieceOf } from "../run/step.js";
import { colouringChoice, legend } from "./legend.js";
import { markBar } from "./markbar.js";
import { Marks } from "./marks.js";
import { sentenceAt } from "./sentence.js";
import { paint, spoken, tokenElement } from "./token.js";

function streamToken(kind, index, text, isSpecial, fallback) {
  const element = tokenElement(text, { isSpecial: Boolean(isSpecial), fallback });
  element.dataset[kind] = index;
  element.setAttribute("role", "option");
  return element;
}

/** Where the shown branch left its parent; the first one left none. */
function ownFrom(run) {
  const { parent, at } = run.branches[run.branch] ?? { parent: null };
  return parent === null ? Infinity : at;
}

/** What is read out of a token; "" where that is its text. */
function optionWords(step, isPinned, isMarked) {
  const text = spoken(step.t, pieceOf(step));
  const name = hasInk(step.t) ? "" : text;
  if (!isPinned) return isMarked ? say("views.marks.option", { text }) : name;
  const told = say(step.f ? "views.stream.forced" : "views.stream.option", { text, p: percent(step.p), rank: step.r });
  return isMarked ? say("views.marks.option", { text: told }) : told;
}

function nameOption(element, words) {
  if (words) element.setAttribute("aria-label", words);
  else element.removeAttribute("aria-label");
}

export function textPanel(root, run) {
  const title = make("h2");
  const subtitle = make("small");
  const choice = make("label", {}, subtitle);
  const toggle = make("button", { type: "button", className: "quiet" });
  const box = make("div", { id: "token-stream", tabIndex: 0 });
  const promptBox = make("div", { className: "prompt" });
  const newBox = make("div", { className: "new" });
  const empty = make("p", { className: "empty" });
  const footer = make("div", { className: "text-footer" });
  const sentence = make("p", { id: "sentence" });
  const live = make("p", { className: "unseen-text" });
  live.setAttribute("aria-live", "polite");
  box.setAttribute("role", "listbox");
  promptBox.setAttribute("role", "group");
  newBox.setAttribute("role", "group");
  toggle.setAttribute("aria-pressed", "false");
  box.append(promptBox, newBox);
  root.replaceChildren(make("header", {}, title, choice, toggle), empty, box, footer, sentence, live);

  const signOf = ([, , , piece]) => piece || "∅";
  const promptLines = new Lines(promptBox);
  const prompted = [];
  const newLines = new Lines(newBox);
  const elements = [];
  const marks = new Marks(elements, tellOption);
  const drawColours = [colouringChoice(choice), legend(footer)];
  const drawMarks = markBar(footer, run, marks);
  let paintedBy = colouring();
  let current = null;
  let isAtEnd = true;

  const indexOf = (event) => {
    const index = event.target.closest?.("[data-token-index]")?.dataset.tokenIndex;
    return index === undefined ? null : Number(index);
  };
  box.addEventListener("pointerover", (event) => {
    if (event.pointerType !== "touch") run.hover(indexOf(event));
  });
  box.addEventListener("pointerleave", () => run.hover(null));
  box.addEventListener("click", (event) => {
    const index = indexOf(event);
    if (index !== null) run.pin(index === run.pinned ? null : index);
  });
  // What stands below the text takes of its height when it grows.
  new ResizeObserver(() => {
    if (isAtEnd && run.follows) box.scrollTop = box.scrollHeight;
  }).observe(box);
  box.addEventListener("scroll", () => {
    isAtEnd = box.scrollTop + box.clientHeight >= box.scrollHeight - 24;
  });
  toggle.addEventListener("click", () => {
    const isOn = box.classList.toggle("all-visible");
    toggle.setAttribute("aria-pressed", String(isOn));
  });

  // Whoever moves the cursor from a chart keeps that chart in sight.
  function reveal(element) {
    if (box.contains(document.activeElement)) return element.scrollIntoView({ block: "nearest" });
    const [inner, outer] = [element.getBoundingClientRect(), box.getBoundingClientRect()];
    if (inner.top < outer.top) box.scrollTop -= outer.top - inner.top;
    else if (inner.bottom > outer.bottom) box.scrollTop += inner.bottom - outer.bottom;
  }

  function tellOption(index) {
    nameOption(elements[index], optionWords(run.steps[index], index === run.pinned, marks.isMarked(index)));
  }

  // A token that leaves no ink is read out as its signs.
  function tellPrompted() {
    prompted.forEach((element, i) => {
      const [, text] = run.prompt[i];
      nameOption(element, hasInk(text) ? "" : spoken(text, signOf(run.prompt[i])));
    });
  }

  /** All tokens anew, after the reader chose what their colours tell. */
  function repaint() {
    paintedBy = colouring();
    elements.forEach((element, i) => paint(element, run.steps[i]));
  }

  function showCursor() {
    const element = elements[run.cursor] ?? null;
    if (element !== current) {
      const left = Number(current?.dataset.tokenIndex);
      current?.classList.remove("at");
      current?.removeAttribute("id");
      current?.removeAttribute("aria-selected");
      current = element;
      if (left < elements.length) tellOption(left);
    }
    if (!current) return box.removeAttribute("aria-activedescendant");
    // While the newest token is followed there is nothing chosen to mark or to announce.
    current.classList.toggle("at", !(run.follows && run.isRunning));
    if (run.pinned === null) return box.removeAttribute("aria-activedescendant");
    current.id = "token-at-cursor";
    current.setAttribute("aria-selected", "true");
    tellOption(run.cursor);
    box.setAttribute("aria-activedescendant", "token-at-cursor");
    reveal(current);
  }

  return (kinds) => {
    if (kinds.has("look")) {
      write(title, say("views.stream.title"));
      write(subtitle, say("views.stream.subtitle"));
      toggle.textContent = say("views.stream.show_all");
      toggle.title = say("views.stream.show_all_help");
      toggle.setAttribute("aria-label", toggle.title);
      box.setAttribute("aria-label", say("views.stream.title"));
      promptBox.setAttribute("aria-label", say("views.stream.prompt"));
      newBox.setAttribute("aria-label", say("views.stream.new"));
      empty.textContent = say("views.stream.empty");
    }
    if (kinds.has("run")) {
      promptLines.clear();
      prompted.length = 0;
    }
    if (kinds.has("run") || kinds.has("branch")) {
      for (const element of elements.splice(run.partedAt)) element.remove();
      marks.cut(elements.length, run.steps);
      newLines.takeUp();
      isAtEnd = true;
    }
    if (kinds.has("head") && !promptBox.firstChild) {
      run.prompt.forEach((token, i) => {
        const [, text, isSpecial] = token;
        prompted.push(streamToken("promptIndex", i, text, isSpecial, signOf(token)));
        promptLines.add(prompted[i], text);
      });
    }
    if (kinds.has("head") || kinds.has("look")) tellPrompted();
    const own = ownFrom(run);
    if (kinds.has("branch")) elements.forEach((element, i) => element.classList.toggle("own", i >= own));
    if (kinds.has("steps") && elements.length < run.steps.length) {
      for (const step of run.steps.slice(elements.length)) {
        const element = streamToken("tokenIndex", step.i, step.t, step.sp, pieceOf(step));
        paint(element, step);
        if (step.f) element.classList.add("forced");
        if (step.i >= own) element.classList.add("own");
        elements.push(element);
        marks.add(step);
        newLines.add(element, step.t);
      }
    }
    if (paintedBy !== colouring()) repaint();
    if (kinds.has("look")) elements.forEach((_, i) => tellOption(i));
    if (kinds.has("look") || kinds.has("colouring")) drawColours.forEach((draw) => draw());
    const hasText = run.prompt.length + run.steps.length > 0;
    root.classList.toggle("is-empty", !hasText);
    if (kinds.has("cursor") || kinds.has("state")) showCursor();
    if (kinds.has("cursor") || kinds.has("head") || kinds.has("look")) {
      write(sentence, sentenceAt(run, run.cursor));
      drawMarks();
    }
    // Last, as what is said below may have taken room from the text; under a pointer only for new tokens.
    if (isAtEnd && (run.follows || (kinds.has("steps") && run.pinned === null))) box.scrollTop = box.scrollHeight;
    if (kinds.has("state") || kinds.has("look")) {
      const isDone = hasText && !run.isRunning;
      const done = run.steps.at(-1)?.ph === "score" ? "views.marks.scored" : "views.stream.done";
      write(live, isDone ? say(done, { n: run.steps.length }) : "");
    }
  };
}
