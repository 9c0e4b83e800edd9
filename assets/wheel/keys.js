// All keys of the page, in a dialog that `?` opens.

import { onKeys } from "../base/keys.js";
import { make, write } from "../base/make.js";
import { say } from "../base/words.js";

// Where keys act, an element without which they do not, and what they do by the keys' names.
const PLACES = [
  ["anywhere", "body", { pause: ["P"], step: ["N"], leave: ["Esc"], list: ["?"] }],
  ["prompt", "#prompt", { generate: ["Enter"], line: ["Shift", "Enter"] }],
  ["text", "body", { one: ["←", "→"], ten: ["Page Up", "Page Down"], ends: ["Home", "End"] }],
  ["inspector", "body", { candidate: ["↑", "↓"], once: ["←", "→"], take: ["Enter"] }],
];

const words = (key) => say(`views.keys.${key}`);

function group([place, selector, rows]) {
  if (!document.querySelector(selector)) return [];
  const entries = Object.entries(rows).map(([name, keys]) =>
    make("div", {}, make("dt", {}, ...keys.map((key) => make("kbd", {}, key))), make("dd", {}, words(name))),
  );
  return [make("h3", {}, words(place)), make("dl", {}, ...entries)];
}

/** The dialog; returns how it is opened. */
export function keyList() {
  const title = make("h2", { id: "keys-title" });
  const close = make("button", { type: "button", className: "quiet" });
  const list = make("div");
  const dialog = make("dialog", { id: "keys" }, make("header", {}, title, close), list);
  dialog.setAttribute("aria-labelledby", title.id);
  document.body.append(dialog);
  const open = () => {
    write(title, words("title"));
    write(close, words("close"));
    list.replaceChildren(...PLACES.flatMap(group));
    dialog.showModal();
  };
  close.addEventListener("click", () => dialog.close());
  dialog.addEventListener("click", ({ target }) => target === dialog && dialog.close());
  // While it is open nothing behind it hears a key.
  dialog.addEventListener("keydown", (event) => event.stopPropagation());
  onKeys({ "?": open });
  return open;
}
