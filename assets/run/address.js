// The page's address carries what a run was asked with, so that a link asks it again.

import { beginWith, takeRequest } from "./request.js";
import { store, touch, watch } from "./store.js";

const LONGEST_LINK = 8000;
const LONGEST_PROMPT = 32000;
const LONGEST_TEXT = 200;
const TEXTS = ["prompt", "system"];
// No settings: another model writes something else from the same prompt and seed.
const MADE_BY = ["model", "precision"];

let shown = null;
let linked = null;

/** What Gradio says of the controls that a request is made of: value, range, choices by name. */
function controls(settings) {
  const found = new Map([["prompt", { value: "" }]]);
  for (const { props } of window.gradio_config?.components ?? []) {
    const name = /^setting-(.+)/.exec(props?.elem_id ?? "")?.[1];
    if (name === "system" || name in settings) found.set(name, props);
  }
  return found;
}

/** The words of a value; of one that is the page's default, or none, nothing. */
function worded(value, usual) {
  if (value === null || value === undefined || value === usual) return "";
  return String(value);
}

function query(values, names, known) {
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
  const known = controls(values);
  const asked = [...known.keys()];
  const names = [...asked, ...MADE_BY];
  const settings = asked.filter((name) => !TEXTS.includes(name));
  const made = store.model ? [["model", store.model.name], ["precision", precisionOf(store.model)]] : [];
  const hrefOf = (kept) => addressWith([...query(values, kept, known), ...made], names);
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
function wantedBy(search, settings) {
  const wanted = {};
  const parameters = new URLSearchParams(search);
  for (const [name, control] of controls(settings)) {
    const text = parameters.get(name);
    if (text === null) continue;
    const longest = TEXTS.includes(name) ? LONGEST_PROMPT : LONGEST_TEXT;
    const value = READERS[typeof (control.value ?? "")]?.(text, control, longest);
    if (value !== undefined) wanted[name] = value;
  }
  return wanted;
}

/**
 * Has the page's controls take what the address asks for. Kept once they have: what each of these
 * `settings` is then.
 */
export async function fill(settings) {
  const made = MADE_BY.map((name) => new URLSearchParams(location.search).get(name));
  if (made.every((text) => text && text.length <= LONGEST_TEXT)) linked = made;
  const given = await beginWith(wantedBy(location.search, settings));
  touch("state");
  return Object.fromEntries(Object.entries(settings).map(([name, value]) => [name, given[name] ?? value]));
}

/** Keeps the address up to date with the run that is shown. */
export function address() {
  watch("address", (kinds) => {
    if (store.refusal) takeRequest();
    const isNew = store.run !== "" && store.prompt.length > 0 && store.run !== shown?.run;
    if (!kinds.has("head") || !isNew) return;
    const asked = takeRequest();
    // A run that was opened from a file was not asked here.
    if (asked === null) return;
    shown = { run: store.run, link: linkTo({ ...asked, seed: store.config.seed }) };
    replaceAddress(shown.link.href);
    touch("link");
  });
}
