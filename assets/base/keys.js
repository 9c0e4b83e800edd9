// Keys that act wherever no text is being typed: what is focused keeps those that it uses itself.

const LETTERLESS = ["button", "checkbox", "color", "file", "image", "radio", "range", "reset", "submit"];
// Letters that follow each other this fast seek an entry of a list together.
const SEEKING_MS = 1000;

let sought = { list: null, until: 0 };

/** Whether a list seeks an entry by this letter, or by one before it and this one. */
function seeks(list, { key, timeStamp }) {
  const goesOn = sought.list === list && timeStamp < sought.until;
  const isFirst = [...list.options].some(({ text }) => text.trim().toLowerCase().startsWith(key.toLowerCase()));
  if (goesOn || isFirst) sought = { list, until: timeStamp + SEEKING_MS };
  return goesOn || isFirst;
}

/** Whether what is focused makes something of a letter. */
function takesLetters(event) {
  const field = event.target.closest?.("input, textarea, select, [contenteditable]");
  if (!field) return false;
  if (field.matches("select")) return seeks(field, event);
  return !field.readOnly && !(field.matches("input") && LETTERLESS.includes(field.type));
}

function isFree(event) {
  if (event.key.length !== 1 || event.repeat || event.altKey || event.ctrlKey || event.metaKey) return false;
  // A sign may take Shift to be typed; a letter with it is another key.
  if (event.shiftKey && event.key.toLowerCase() !== event.key.toUpperCase()) return false;
  return !event.defaultPrevented && !takesLetters(event);
}

/** Has keys act, by their signs; an act that returns false leaves the key to others. */
export function onKeys(acts) {
  document.addEventListener("keydown", (event) => {
    const act = isFree(event) ? acts[event.key.toLowerCase()] : undefined;
    if (act && act() !== false) event.preventDefault();
  });
}
