// The page's address: it carries the prompt, the settings and the seed of the run that is shown.

import { store, watch } from "./store.js";

const MOST = 8000;
const FIELDS = { prompt: "#prompt textarea", system: "#setting-system :is(textarea, input)" };

let defaults = null;
let isShort = false;

/** Whether the prompt had to be left out of the address, because servers refuse such long ones. */
export const isPromptLeftOut = () => isShort;

const typed = (name) => document.querySelector(FIELDS[name])?.value ?? "";

/** A parameter's value as its control has it; undefined for what none can hold. */
function readValue(text, like) {
  if (typeof like === "boolean") return { true: true, false: false }[text];
  if (typeof like !== "number") return text;
  const value = Number(text);
  return text.trim() !== "" && Number.isFinite(value) ? value : undefined;
}

function fillControls() {
  const wanted = {};
  for (const [name, text] of new URLSearchParams(location.search)) {
    const isText = name in FIELDS;
    if (!isText && !(Object.hasOwn(defaults, name) && text.length <= 200)) continue;
    const value = isText ? text.slice(0, MOST) : readValue(text, defaults[name]);
    if (value !== undefined) wanted[name] = value;
  }
  // Nothing runs by itself: whoever follows a link presses the button.
  if (Object.keys(wanted).length > 0) window.decodingLive.setControls(wanted);
}

function parameters() {
  const found = new URLSearchParams();
  for (const [name, value] of Object.entries(store.settings)) {
    if (name !== "seed" && value != null && String(value) !== String(defaults[name])) found.set(name, value);
  }
  if (store.config.seed != null) found.set("seed", store.config.seed);
  if (typed("system")) found.set("system", typed("system"));
  found.set("prompt", typed("prompt"));
  isShort = found.toString().length > MOST;
  if (isShort) found.delete("prompt");
  return found;
}

function write() {
  try {
    history.replaceState(history.state, "", `${location.pathname}?${parameters()}`);
  } catch (error) {
    if (!(error instanceof DOMException)) throw error; // a page in a frame may have no history
  }
}

/** Fills the controls from the address once, and keeps the address at the run that is shown. */
export function address() {
  if (!document.querySelector("#prompt") && !window.decodingLiveQueue) return;
  let written = "";
  watch("address", () => {
    if (!store.settings) return;
    if (!defaults) {
      defaults = { ...store.settings };
      fillControls();
    }
    if (store.run === written || store.prompt.length === 0) return;
    written = store.run;
    if (store.live) write();
  });
}
