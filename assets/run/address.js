// The page's address carries what a run was asked with, so that a link asks it again.

import { store, touch, watch } from "./store.js";

const LONGEST_LINK = 8000;
const LONGEST_PROMPT = 32000;
const LONGEST_TEXT = 200;
const TEXTS = ["prompt", "system"];
// No settings: another model writes something else from the same prompt and seed.
const MADE_BY = ["model", "precision"];

let asked = null;
let shown = null;
let linked = null;
// Gradio makes a folded control only when it is unfolded, so what was typed there is remembered.
const typed = { prompt: "", system: "" };

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
  for (const name of TEXTS) typed[name] = fieldOf(name)?.value ?? typed[name];
  asked = { ...store.settings, ...typed };
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

const precisionOf = (model) => model.quantization ?? model.dtype;

function linkTo(values) {
  const asked = [...controls().keys()];
  const names = [...asked, ...MADE_BY];
  const settings = asked.filter((name) => !TEXTS.includes(name));
  const made = store.model ? [["model", store.model.name], ["precision", precisionOf(store.model)]] : [];
  const hrefOf = (kept) => addressWith([...query(values, kept), ...made], names);
  const href = hrefOf(asked);
  if (href.length <= LONGEST_LINK) return { href, isWhole: true };
  return { href: hrefOf(settings), isWhole: false };
}

/** The link to what the shown run was asked with, and whether the prompt is in it; or null. */
export const link = () => (shown?.run === store.run ? shown.link : null);

/** What made the run that a link is of, and what is loaded here, where they are not the same; or null. */
export function otherModel() {
  if (linked === null || !store.loaded) return null;
  const here = [store.loaded.name, precisionOf(store.loaded)];
  return linked.every((text, i) => text === here[i]) ? null : { made: linked.join(" · "), here: here.join(" · ") };
}

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
  for (const name of TEXTS) typed[name] = wanted[name] ?? "";
  const made = MADE_BY.map((name) => new URLSearchParams(location.search).get(name));
  if (made.every((text) => text && text.length <= LONGEST_TEXT)) linked = made;
  if (Object.keys(wanted).length > 0) window.decodingLive.setControls(wanted);
}

function listen() {
  document.addEventListener("input", ({ target }) => {
    if (target.closest?.("#setting-system")) typed.system = target.value;
  });
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
      touch("state");
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
