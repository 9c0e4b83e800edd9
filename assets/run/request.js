// What a run is asked with: the values of Gradio's own controls, set from here and read when asked.

const EVERY_MS = 100;

let values = {};
let isDue = false;
let isBegun = false;
let begin;
// Nothing is asked before the address has had its say: Gradio's controls may come late.
const begun = new Promise((resolve) => (begin = resolve));
let asked = null;

/** Has the page's controls take these values, by the settings' names, `prompt`, `chat`, `system`. */
export function setControls(wantedValues) {
  values = { ...values, ...wantedValues };
  if (isDue) return;
  isDue = true;
  press();
}

// A click that Gradio is not listening to yet is lost, so that it is repeated until it was heard.
function press() {
  if (!isDue) return;
  document.querySelector("#apply-settings")?.click();
  setTimeout(press, EVERY_MS);
}

/**
 * What was set, in the order of the names, when `#apply-settings` is pressed; undefined leaves a
 * control as it is. Behind them, that Generate can be pressed from now on.
 */
export function wanted(names) {
  const taken = values;
  values = {};
  isDue = false;
  isBegun = true;
  begin(taken);
  return [...names.map((name) => taken[name]), { interactive: true, __type__: "update" }];
}

/** Has the controls begin with these values; a promise of what they were set to, once they are. */
export function beginWith(wantedValues) {
  setControls(wantedValues);
  return begun;
}

/** What is asked for is watched: from then on keys act on the run, and are no text. */
function leavePrompt() {
  const { activeElement } = document;
  if (!activeElement?.closest("#prompt")) return;
  activeElement.blur();
  document.querySelector("#token-stream")?.focus({ preventScroll: true });
}

/**
 * The values that a request is made of, by their names; asked for when Generate is pressed. What
 * was gathered before the address had its say is overruled by that.
 */
export async function request(names, gathered) {
  const late = isBegun ? {} : await begun;
  const given = names.map((name, i) => (name in late ? late[name] : gathered[i]));
  asked = Object.fromEntries(names.map((name, i) => [name, given[i]]));
  if (asked.prompt) leavePrompt();
  return given;
}

/** What was asked last, once; null where nothing was since. */
export function takeRequest() {
  const last = asked;
  asked = null;
  return last;
}
