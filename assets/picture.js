// A picture of the text: its tokens in the page's colours, laid out as on the page.

import { visible } from "./glyphs.js";
import { store, surprisal } from "./store.js";
import { doubt } from "./stream.js";
import { fixed, say } from "./words.js";

const WIDTH = 1000;
const MARGIN = 36;
const LINE = 34;
const MOST_HEIGHT = 16384;
const SIZES = { prompt: 15, text: 19, small: 13 };

const styleOf = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
const font = (size) => `${size}px ${getComputedStyle(document.body).fontFamily}`;

const shown = (step) => step.t || step.c.find(([id]) => id === step.id)?.[1] || step.k || "∅";

/** What is drawn one after the other: text, its look, and for new tokens how surprising each was. */
function pieces() {
  const prompt = store.prompt.map(([, text, isSpecial, piece]) => ({ text: isSpecial ? visible(text || piece) : text, look: "prompt" }));
  const written = store.steps.map((step) => ({
    text: step.sp ? visible(shown(step)) : step.t,
    look: step.sp ? "prompt" : "text",
    level: step.sp ? 0 : doubt(surprisal(step)),
    isForced: Boolean(step.f),
  }));
  return [...prompt, { text: "\n", look: "text" }, ...written];
}

/** Words of a piece, as lines may break between them; each sign where no spaces are used. */
const parts = (text) => text.match(/\n|[\u3000-\u9fff\uac00-\ud7af\uff00-\uffef]|[^\S\n]*[^\s\u3000-\u9fff\uac00-\ud7af\uff00-\uffef]+|[^\S\n]+/gu) ?? [];

/** Every part with its place; and how high it all is. Parts beyond the height are left out. */
function layOut(context, most) {
  const placed = [];
  let [x, y] = [MARGIN, MARGIN];
  for (const piece of pieces()) {
    const size = SIZES[piece.look];
    context.font = font(size);
    for (const part of parts(piece.text)) {
      const width = part === "\n" ? 0 : context.measureText(part).width;
      if (part === "\n" || (x + width > WIDTH - MARGIN && x > MARGIN)) [x, y] = [MARGIN, y + LINE];
      if (y + LINE > most) return { placed, height: y, isCut: true };
      if (part !== "\n") placed.push({ ...piece, part, x, y, width, size });
      x += width;
    }
  }
  return { placed, height: y + LINE, isCut: false };
}

function drawPart(context, { part, x, y, width, size, look, level, isForced }) {
  if (level > 0) {
    context.fillStyle = `rgb(${styleOf("doubt")} / ${0.07 * level})`;
    context.fillRect(x, y + 3, width, LINE - 9);
    context.fillStyle = styleOf("doubt-line");
    context.fillRect(x, y + LINE - 7, width, 0.3 * level);
  }
  if (isForced) {
    context.strokeStyle = styleOf("accent");
    context.strokeRect(x, y + 3, width, LINE - 9);
  }
  context.fillStyle = styleOf(look === "prompt" ? "prompt" : "ink");
  context.font = font(size);
  context.fillText(part, x, y + LINE - 12);
}

function footer() {
  const { config, model } = store;
  const settings = ["temperature", "top_k", "top_p", "min_p"].filter((name) => config.do_sample && config[name] != null);
  const values = settings.map((name) => `${name} ${config[name]}`);
  const nats = store.steps.reduce((sum, step) => sum + (step.lp ?? -Infinity), 0);
  const mean = store.steps.length > 0 && Number.isFinite(nats) ? [say("views.trace.mean", { value: fixed(nats / store.steps.length, 2) })] : [];
  const seed = config.seed == null ? [] : [`seed ${config.seed}`];
  return [model?.name ?? "", ...values, ...seed, say("views.trace.tokens", { n: store.steps.length }), ...mean].join(" · ");
}

/** Draws the shown text; a canvas, and whether the text was too long for it. */
export function drawPicture() {
  const canvas = document.createElement("canvas");
  const context = canvas.getContext("2d");
  const scale = 2;
  const end = 2 * LINE + MARGIN;
  const { placed, height, isCut } = layOut(context, MOST_HEIGHT / scale - end);
  Object.assign(canvas, { width: WIDTH * scale, height: Math.ceil(height + end) * scale });
  context.scale(scale, scale);
  context.fillStyle = styleOf("card");
  context.fillRect(0, 0, WIDTH, height + end);
  for (const part of placed) drawPart(context, part);
  context.font = font(SIZES.small);
  context.fillStyle = styleOf("soft");
  if (isCut) context.fillText(say("views.trace.picture_cut"), MARGIN, height + LINE);
  context.fillText(footer(), MARGIN, height + end - MARGIN / 2, WIDTH - 2 * MARGIN);
  return { canvas, isCut };
}

/** Has the browser save the picture; whether the text was cut. */
export async function savePicture() {
  const { canvas, isCut } = drawPicture();
  const blob = await new Promise((resolve) => canvas.toBlob(resolve, "image/png"));
  const address = URL.createObjectURL(blob);
  Object.assign(document.createElement("a"), { href: address, download: "decoding.png" }).click();
  setTimeout(() => URL.revokeObjectURL(address), 10000);
  return isCut;
}
