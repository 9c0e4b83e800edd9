// What can be kept of a run: files, a picture, a link.

import { isPromptLeftOut } from "./address.js";
import { make, write } from "./make.js";
import { savePicture } from "./picture.js";
import { store } from "./store.js";
import { say } from "./words.js";

const KINDS = ["json", "csv", "html"];
const words = (key, args) => say(`views.trace.${key}`, args);

async function copyLink(note) {
  try {
    await navigator.clipboard.writeText(location.href);
    write(note, words(isPromptLeftOut() ? "copied_short" : "copied"));
  } catch (error) {
    if (!(error instanceof DOMException || error instanceof TypeError)) throw error;
    write(note, words("copy_refused"));
  }
}

async function picture(note) {
  const cut = await savePicture();
  write(note, cut ? words("picture_cut") : "");
}

export function tracePanel(root) {
  const [title, lead] = [make("h2"), make("p", { className: "empty" })];
  const links = KINDS.map((kind) => make("a", { className: "keep", download: "", id: `save-${kind}` }));
  const png = make("button", { type: "button", className: "keep", id: "save-png" });
  const link = make("button", { type: "button", className: "keep", id: "copy-link" });
  const note = make("p", { className: "reading" });
  note.setAttribute("aria-live", "polite");
  png.addEventListener("click", () => picture(note));
  link.addEventListener("click", () => copyLink(note));
  root.replaceChildren(make("header", {}, title), lead, make("div", { className: "row" }, ...links, png, link), note);
  return (kinds) => {
    if (kinds.has("look")) {
      write(title, words("title"));
      write(lead, words("lead"));
      links.forEach((a, i) => {
        write(a, words(KINDS[i]));
        a.title = words(`${KINDS[i]}_help`);
      });
      write(png, words("png"));
      write(link, words("link"));
      link.title = words("link_help");
    }
    if (!kinds.has("run") && !kinds.has("head") && !kinds.has("look") && !kinds.has("state")) return;
    const hasRun = store.run !== "" && store.prompt.length > 0;
    root.classList.toggle("is-empty", !hasRun);
    links.forEach((a, i) => {
      if (hasRun) a.href = `trace/${encodeURIComponent(store.run)}.${KINDS[i]}`;
      a.hidden = !hasRun;
    });
    png.hidden = !hasRun;
    link.hidden = !hasRun || !store.live;
    if (kinds.has("run")) write(note, "");
  };
}
