// The page's address carries what a run was asked with, so that a link asks it again.

import { precisionOf } from "./config.js";
import { beginWith, takeRequest } from "./request.js";

const LONGEST_LINK = 8000;
const LONGEST_PROMPT = 32000;
const LONGEST_TEXT = 200;
const TEXTS = ["prompt", "system", "answer_prefix"];
// No settings: another model writes something else from the same prompt and seed.
const MADE_BY = ["model", "precision"];

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

function linkTo(values, model) {
  const known = controls(values);
  const asked = [...known.keys()];
  const names = [...asked, ...MADE_BY];
  const settings = asked.filter((name) => !TEXTS.includes(name));
  const made = model ? [["model", model.name], ["precision", precisionOf(model)]] : [];
  const hrefOf = (kept) => addressWith([...query(values, kept, known), ...made], names);
  const href = hrefOf(asked);
  if (href.length <= LONGEST_LINK) return { href, isWhole: true };
  return { href: hrefOf(settings), isWhole: false };
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

/** The model and the precision that made the run a link is of; null where it names none. */
function madeBy(search) {
  const made = MADE_BY.map((name) => new URLSearchParams(search).get(name));
  return made.every((text) => text && text.length <= LONGEST_TEXT) ? made : null;
}

/** The page's address: it asks for what a link holds, and is kept up to date with a run. */
export class Address {
  constructor(run) {
    this.run = run;
    this.shown = null;
    this.linked = null;
    run.watch("address", (kinds) => this.follow(kinds));
  }

  /**
   * Has the page's controls take what the address asks for. Kept once they have: what each of these
   * `settings` is then.
   */
  async fill(settings) {
    this.linked = madeBy(location.search);
    const given = await beginWith(wantedBy(location.search, settings));
    this.run.touch("state");
    return Object.fromEntries(Object.entries(settings).map(([name, value]) => [name, given[name] ?? value]));
  }

  follow(kinds) {
    const { run } = this;
    if (run.refusal) takeRequest();
    const isNew = run.id !== "" && run.prompt.length > 0 && run.id !== this.shown?.id;
    if (!kinds.has("head") || !isNew) return;
    const asked = takeRequest();
    // A run that was opened from a file was not asked here.
    if (asked === null) return;
    this.shown = { id: run.id, link: linkTo({ ...asked, seed: run.config.seed }, run.model) };
    replaceAddress(this.shown.link.href);
    run.touch("link");
  }

  /** The link to what the shown run was asked with, and whether the prompt is in it; or null. */
  get link() {
    return this.shown?.id === this.run.id ? this.shown.link : null;
  }

  /** What made the run that a link is of, and what is loaded here, where they are not the same; or null. */
  get otherModel() {
    const { loaded } = this.run;
    if (this.linked === null || !loaded) return null;
    const here = [loaded.name, precisionOf(loaded)];
    return this.linked.every((text, i) => text === here[i]) ? null : { made: this.linked.join(" · "), here: here.join(" · ") };
  }
}
