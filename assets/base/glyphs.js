// Signs for characters that leave no ink, and text made safe for Plotly's label markup.

const SIGNS = new Map([
  [" ", "␣"],
  ["\n", "⏎"],
  ["\t", "⇥"],
]);
// Names, because few fonts have the pictures of control characters.
const CONTROLS = (
  "NUL SOH STX ETX EOT ENQ ACK BEL BS HT LF VT FF CR SO SI " +
  "DLE DC1 DC2 DC3 DC4 NAK SYN ETB CAN EM SUB ESC FS GS RS US"
).split(" ");
const INKLESS = /[\p{Cc}\p{Cf}\p{Zs}\p{Zl}\p{Zp}\p{Cs}\p{Cn}\p{Co}\ufe0e\ufe0f]/u;
const INKLESS_ALL = new RegExp(INKLESS.source, "gu");
const MOST_QUOTED = 24;
const DIRECTIONAL = /[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/;

function sign(character) {
  const known = SIGNS.get(character);
  if (known) return known;
  const code = character.codePointAt(0);
  if (code < 0x20) return `‹${CONTROLS[code]}›`;
  return `‹U+${code.toString(16).toUpperCase().padStart(4, "0")}›`;
}

// A joiner or selector between two signs of an emoji is part of its shape, not a hidden character.
const EMOJI = /\p{Extended_Pictographic}[\ufe0f\u200d\p{Extended_Pictographic}\p{Emoji_Modifier}]*/gu;

/** `text` with white space, control and format characters written out. */
export function visible(text) {
  const kept = [];
  const masked = text.replace(EMOJI, (emoji) => {
    kept.push(emoji);
    return "\u0001E";
  });
  if (kept.length === 0 || text.includes("\u0001E")) return text.replace(INKLESS_ALL, sign);
  return masked
    .split("\u0001E")
    .map((part, i) => part.replace(INKLESS_ALL, sign) + (kept[i] ?? ""))
    .join("");
}

export const hasInkless = (text) => INKLESS.test(text);

/** Whether there is anything in it that a reader sees. */
export const hasInk = (text) => text.replace(INKLESS_ALL, "") !== "";

/** No mark on the page at all: nothing, or nothing but control and format characters. */
export const isUnseen = (text) => /^[\p{Cc}\p{Cf}\p{Cs}\p{Cn}\p{Co}\p{Zl}\p{Zp}]*$/u.test(text) && !/[\n\t]/.test(text);

/** Only white space with a line break in it: nothing to point at but the break. */
export const isBreak = (text) => /^\s*\n\s*$/.test(text);

export const redirects = (text) => DIRECTIONAL.test(text);

/** `text` in at most so many characters, the last of them "…" where some had to go. */
export function shortened(text, most) {
  const characters = Array.from(text);
  return characters.length > most ? `${characters.slice(0, most - 1).join("")}…` : text;
}

/** The visible form, at most `length` characters, as a piece of Plotly's pseudo-HTML. */
export function label(text, length) {
  return shortened(visible(text), length).replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");
}

/** The same in a sentence: trimmed unless that leaves nothing. */
export function quoted(text) {
  const trimmed = text.trim();
  return shortened(trimmed && !isUnseen(trimmed) ? visibleInside(trimmed) : visible(text), MOST_QUOTED);
}

const visibleInside = (text) => visible(text).replace(/␣/g, " ");
