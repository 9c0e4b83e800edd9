// The page's address carries what a run was asked with, so that a link asks it again.

import { store, touch, watch } from "./store.js";

const LONGEST_LINK = 8000;
const LONGEST_PROMPT = 32000;
const LONGEST_TEXT = 200;
const TEXTS = ["prompt", "system"];

let asked = null;
let shown = null;

/** What Gradio says of the controls that a request is made of: value, range, choices by name. */
function controls() {
  const found = new Map([["prompt", { value: "" }]]);
  for (const { props } of window.gradio_config?.components ?? []) {
    const name = /^setting-(.+)/.exec(props?.elem_id ?? "")?.[1];
    if (name === "system" || name in (store.settings ?? {})) found.set(name, props);
  }
  return found;
}

const fieldOf = (name) => document.querySelector(name === "prompt" ? "#prompt textarea" : `#setting-${name} :is(textarea, input)`);

// When it is asked, not when it begins: meanwhile the visitor may have typed the next one.
function hear() {
  const texts = TEXTS.map((name) => [name, fieldOf(name)?.value ?? ""]);
  asked = { ...store.settings, ...Object.fromEntries(texts) };
}

/** The words of a value; of one that is the page's default, or none, nothing. */
function worded(value, usual) {
  if (value === null || value === undefined || value === usual) return "";
  return String(value);
}

function query(values, names) {
  const known = controls();
  const wanted = new URLSearchParams();
  for (const name of names) {
    const text = name in values ? worded(values[name], known.get(name)?.value ?? "") : "";
    if (text !== "") wanted.set(name, text);
  }
  return wanted;
}

/** The page's own address with these parameters; what others put into it stays. */
function addressWith(wanted, names) {
  const address = new URL(location.href);
  for (const name of names) address.searchParams.delete(name);
  for (const [name, text] of wanted) address.searchParams.set(name, text);
  address.hash = "";
  return address.href;
}

function linkTo(values) {
  const names = [...controls().keys()];
  const settings = names.filter((name) => !TEXTS.includes(name));
  const href = addressWith(query(values, names), names);
  if (href.length <= LONGEST_LINK) return { href, isWhole: true };
  return { href: addressWith(query(values, settings), names), isWhole: false };
}

/** The link to what the shown run was asked with, and whether the prompt is in it; or null. */
export const link = () => (shown?.run === store.run ? shown.link : null);

function replaceAddress(href) {
  try {
    history.replaceState(history.state, "", href);
  } catch (error) {
    // A page in a frame may not, and no page may too often.
    if (!(error instanceof DOMException)) throw error;
  }
}

const READERS = {
  boolean: (text) => ({ true: true, false: false })[text],
  number: (text, { minimum, maximum }) => {
    const value = text.trim() === "" ? NaN : Number(text);
    return value >= (minimum ?? -Infinity) && value <= (maximum ?? Infinity) ? value : undefined;
  },
  string: (text, { choices }, longest) => {
    if (choices && !choices.some((choice) => [choice].flat().includes(text))) return undefined;
    return text.length <= longest ? text : undefined;
  },
};

/** The values that an address asks for: of known names only, each of its type and in its range. */
function wantedBy(search) {
  const wanted = {};
  const parameters = new URLSearchParams(search);
  for (const [name, control] of controls()) {
    const text = parameters.get(name);
    if (text === null) continue;
    const longest = TEXTS.includes(name) ? LONGEST_PROMPT : LONGEST_TEXT;
    const value = READERS[typeof (control.value ?? "")]?.(text, control, longest);
    if (value !== undefined) wanted[name] = value;
  }
  return wanted;
}

function fill() {
  const wanted = wantedBy(location.search);
  if (Object.keys(wanted).length > 0) window.decodingLive.setControls(wanted);
}

function listen() {
  document.addEventListener("click", (event) => event.target.closest?.("#generate") && hear(), true);
  document.addEventListener(
    "keydown",
    (event) => event.key === "Enter" && !event.shiftKey && event.target.closest?.("#prompt") && hear(),
    true,
  );
}

/** Keeps the address up to date, and fills the page's controls from it once they are there. */
export function address() {
  listen();
  let isFilled = false;
  watch("address", (kinds) => {
    if (store.refusal) asked = null;
    if (!kinds.has("head")) return;
    if (!isFilled && store.settings !== null) {
      isFilled = true;
      fill();
    }
    const isNew = store.run !== "" && store.prompt.length > 0 && store.run !== shown?.run;
    // A run that was opened from a file was not asked here.
    if (!isNew || asked === null) return;
    shown = { run: store.run, link: linkTo({ ...asked, seed: store.config.seed }) };
    asked = null;
    replaceAddress(shown.link.href);
    touch("link");
  });
}
