// The text as a picture. The browser itself lays it out, off the screen, as it does on the page;
// what it laid out is then drawn on a canvas, piece by piece.

import { make } from "../base/make.js";
import { colour } from "../base/plot.js";
import { say } from "../base/words.js";
import { inForce, precisionOf } from "../run/config.js";

const WIDTH = 1080;
const SCALE = 2;
// No browser is sure to draw a canvas that is higher.
const HIGHEST = 16384;

const NAMED = ["temperature", "top_k", "top_p", "min_p", "typical_p", "repetition_penalty", "no_repeat_ngram_size", "seed"];

/** Model, settings and seed in one line. */
function footer(run) {
  const { model, config } = run;
  const mode = say(config.do_sample ? "views.summary.sampling" : "views.summary.greedy");
  const named = config.do_sample ? NAMED : NAMED.slice(5, -1);
  const settings = [mode, ...inForce(config, named)].join(" ");
  return [model?.name, model && precisionOf(model), settings, say("views.trace.tokens", { n: run.steps.length })].filter(Boolean).join(" · ");
}

/** What the wavy lines say, where there are any. */
function marksNote(text) {
  if (!text.querySelector(".doubted")) return "";
  const sample = make("span", { className: "doubted doubted-end" }, say("views.marks.made_up"));
  const threshold = document.querySelector(".mark-controls output")?.textContent ?? "";
  return make("p", {}, sample, `   (${say("views.marks.threshold")} ${threshold})`);
}

/** Title, text, legend and footer as elements off the screen. */
function lay(run) {
  const text = document.getElementById("token-stream").cloneNode(true);
  text.querySelectorAll(".at").forEach((token) => token.classList.remove("at"));
  const legend = document.querySelector("#text-panel .legend")?.cloneNode(true) ?? "";
  const note = make("p", { className: "picture-note" });
  const title = make("p", { className: "picture-title" }, say("views.header.title"));
  const paper = make("div", { className: "picture-paper" }, title, text, note, legend, marksNote(text), make("p", {}, footer(run)));
  paper.style.width = `${WIDTH}px`;
  paper.setAttribute("aria-hidden", "true");
  document.body.append(paper);
  return { paper, text, note };
}

/** Takes away the tokens for which there is no room, and says how many. */
function shorten({ paper, text, note }) {
  const over = paper.offsetHeight - HIGHEST;
  if (over <= 0) return;
  const tokens = [...text.querySelectorAll(".token")];
  const last = text.getBoundingClientRect().bottom - over - 60;
  const first = tokens.findIndex((token) => token.getBoundingClientRect().bottom > last);
  for (const token of tokens.slice(first)) token.remove();
  note.textContent = say("views.trace.cut", { n: tokens.length - first });
}

const isSeen = (paint) => paint && paint !== "transparent" && !/[,/]\s*0\)$/.test(paint);

const graphemes = (text) => [...new Intl.Segmenter(undefined, { granularity: "grapheme" }).segment(text)];

/** [text, box] of each piece of a text node that stands in one line. */
function pieces(node) {
  const range = document.createRange();
  range.selectNodeContents(node);
  const boxes = [...range.getClientRects()];
  if (boxes.length === 1 && !node.data.includes("\t")) return [[node.data, boxes[0]]];
  const found = [];
  for (const { segment, index } of graphemes(node.data)) {
    range.setStart(node, index);
    range.setEnd(node, index + segment.length);
    const box = range.getClientRects()[0];
    const last = found.at(-1);
    if (!box || segment === "\n" || segment === "\t") found.push(null);
    else if (last && last[1].top === box.top) last[0] += segment;
    else found.push([segment, box]);
  }
  return found.filter(Boolean);
}

class Painter {
  constructor(paper, context) {
    this.context = context;
    const { left, top } = paper.getBoundingClientRect();
    [this.left, this.top] = [left, top];
  }

  /** The background, the lines and the signs of an element. */
  box(element) {
    const style = getComputedStyle(element);
    for (const box of element.getClientRects()) {
      const [x, y] = [box.left - this.left, box.top - this.top];
      if (isSeen(style.backgroundColor)) this.fill(style.backgroundColor, x, y, box.width, box.height);
      const line = parseFloat(style.borderBottomWidth);
      if (parseFloat(style.borderLeftWidth) > 0) this.frame("border", style, x, y, box);
      else if (line > 0) this.fill(style.borderBottomColor, x, y + box.height - line, box.width, line);
      if (style.outlineStyle !== "none") this.frame("outline", style, x, y, box);
      if (style.textDecorationStyle === "wavy") this.wave(style.textDecorationColor, x, y + box.height, box.width);
    }
    const before = getComputedStyle(element, "::before");
    if (before.content !== "none" && before.content !== "normal") this.sign(element, before);
    if (element.matches(".forced, .doubted-end")) this.signAfter(element, getComputedStyle(element, "::after"));
  }

  /** A wavy line that goes on from one element to the next. */
  wave(paint, left, y, width) {
    this.context.beginPath();
    for (let x = left; x <= left + width; x += 0.5) this.context.lineTo(x, y + 1.2 * Math.sin(x));
    this.context.strokeStyle = paint;
    this.context.lineWidth = 1.2;
    this.context.setLineDash([]);
    this.context.stroke();
  }

  /** What stands behind a token: that it was chosen by hand, or that it may be made up. */
  signAfter(element, style) {
    const box = [...element.getClientRects()].at(-1);
    if (!box) return;
    const text = style.content.replace(/^"|"$/g, "");
    const isBeside = style.position === "absolute"; // where it takes no room
    this.font(style);
    const left = isBeside ? box.right : box.right - this.context.measureText(text).width - parseFloat(style.paddingRight);
    this.write(text, style, left, isBeside ? box.top - 3 : box.top);
  }

  fill(paint, x, y, width, height) {
    this.context.fillStyle = paint;
    this.context.fillRect(x, y, width, height);
  }

  frame(kind, style, x, y, { width, height }) {
    const side = kind === "border" ? "borderLeft" : kind;
    this.context.strokeStyle = style[`${side}Color`];
    this.context.lineWidth = parseFloat(style[`${side}Width`]);
    this.context.setLineDash(style[`${side}Style`] === "dashed" ? [3, 2] : []);
    this.context.strokeRect(x + 0.5, y + 0.5, width - 1, height - 1);
  }

  sign(element, style) {
    const [box] = element.getClientRects();
    const text = style.content.includes("⏎") ? "⏎" : (element.dataset.shown ?? "");
    if (!box) return;
    const left = box.left + parseFloat(getComputedStyle(element).paddingLeft) + parseFloat(style.paddingLeft);
    this.context.globalAlpha = Number(style.opacity);
    this.write(text, style, left, box.top + (box.height - parseFloat(style.fontSize) * 1.17) / 2);
    this.context.globalAlpha = 1;
  }

  text(node) {
    const style = getComputedStyle(node.parentElement);
    if (style.fontSize === "0px") return;
    for (const [text, box] of pieces(node)) this.write(text, style, box.left, box.top);
  }

  font({ fontStyle, fontWeight, fontSize, fontFamily }) {
    this.context.font = `${fontStyle} ${fontWeight} ${fontSize} ${fontFamily}`;
  }

  write(text, style, left, top) {
    const { context } = this;
    this.font(style);
    context.fillStyle = style.color;
    context.direction = "ltr";
    const { fontBoundingBoxAscent } = context.measureText("x");
    context.fillText(text, left - this.left, top - this.top + fontBoundingBoxAscent);
  }
}

function draw(paper) {
  const height = Math.min(HIGHEST, paper.offsetHeight);
  const scale = height * SCALE > HIGHEST ? 1 : SCALE;
  const canvas = make("canvas", { width: WIDTH * scale, height: height * scale });
  const context = canvas.getContext("2d");
  context.scale(scale, scale);
  context.fillStyle = colour("card");
  context.fillRect(0, 0, WIDTH, height);
  const painter = new Painter(paper, context);
  const walker = document.createTreeWalker(paper, NodeFilter.SHOW_ELEMENT | NodeFilter.SHOW_TEXT);
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    if (node.nodeType === Node.TEXT_NODE) painter.text(node);
    else painter.box(node);
  }
  return canvas;
}

/** The shown text with its colours as a PNG; a promise of a Blob. */
export function picture(run) {
  const laid = lay(run);
  try {
    shorten(laid);
    const canvas = draw(laid.paper);
    return new Promise((resolve) => canvas.toBlob(resolve, "image/png"));
  } finally {
    laid.paper.remove();
  }
}
