// What can be kept of a run: a trace, a table, a page of its own, a picture, a link.

import { make, write } from "../base/make.js";
import { unpack } from "../base/packed.js";
import { currentLanguage, say } from "../base/words.js";
import { picture } from "./picture.js";

const FILES = ["json", "csv", "html"];
const recorded = document.getElementById("recorded-facts");
const words = (key, args) => say(`views.trace.${key}`, args);

/** Has the browser keep a file. */
function keep(blob, name) {
  const anchor = make("a", { href: URL.createObjectURL(blob), download: name });
  document.body.append(anchor);
  anchor.click();
  anchor.remove();
  setTimeout(() => URL.revokeObjectURL(anchor.href), 60_000);
}

/** When it was kept, in digits: a file's name tells neither the run's id nor its text. */
function nameFor(kind) {
  const digits = new Date().toISOString().replace(/\D/g, "");
  return `decoding-${digits.slice(0, 8)}-${digits.slice(8, 14)}.${kind}`;
}

const addressOf = (id, kind) => new URL(`trace/${id}.${kind}`, document.baseURI).href;

/** Fetches a file of a run and has it kept; whether there was one. */
async function keepFile(id, kind) {
  const answer = await fetch(addressOf(id, kind));
  if (!answer.ok) return false;
  const [, name] = /filename="([\w.-]+)"/.exec(answer.headers.get("content-disposition") ?? "") ?? [];
  keep(await answer.blob(), name ?? nameFor(kind));
  return true;
}

const keepRecorded = async () => keep(await unpack("recorded-trace"), nameFor("json"));
const keepPicture = async (run) => keep(await picture(run), nameFor("png"));

/** The libraries and the day of a recorded run, in words. */
function origin() {
  const { created, versions, revision } = JSON.parse(recorded.textContent);
  const day = new Date(created);
  const libraries = Object.entries(versions).map((pair) => pair.join(" "));
  return [
    words("recorded", { day: Number.isNaN(day.valueOf()) ? created : day.toLocaleString(currentLanguage()) }),
    ...libraries,
    ...(revision ? [words("revision", { revision })] : []),
  ].join(" · ");
}

export function tracePanel(root, run, address) {
  const [title, subtitle, about] = [make("h2"), make("small"), make("p", { className: "empty" })];
  const anchors = recorded ? [] : FILES.map((kind) => make("a", { id: `trace-${kind}`, className: "keep" }));
  const again = make("button", { type: "button", id: "trace-json", className: "keep" });
  const png = make("button", { type: "button", id: "trace-png", className: "keep" });
  const copy = make("button", { type: "button", id: "copy-link", className: "keep" });
  const field = make("input", { id: "shared-link", readOnly: true, hidden: true });
  const note = make("p", { className: "reading one-line" });
  note.setAttribute("aria-live", "polite");
  const row = make("div", { className: "keepers" }, ...(recorded ? [again] : anchors), png, ...(recorded ? [] : [copy]));
  root.replaceChildren(make("header", {}, title, subtitle), about, row, field, note);
  let told = null;
  // The refusal that was there when a file was chosen; undefined while none is opened.
  let refusedBefore;
  document.addEventListener("change", ({ target }) => {
    if (target.closest?.("#trace-controls")) refusedBefore = run.refusal;
  });

  /** What was opened is shown further up, as is why it could not be. */
  function lookUp(kinds) {
    const isRefused = run.refusal !== null && run.refusal !== refusedBefore;
    if (refusedBefore === undefined || !(isRefused || kinds.has("run"))) return;
    refusedBefore = undefined;
    // Once all views are drawn, so that everything has its place.
    requestAnimationFrame(() => {
      document.querySelector("#status")?.scrollIntoView();
      if (!isRefused) document.querySelector("#token-stream")?.focus({ preventScroll: true });
    });
  }

  /** Says what came of the last click on this run. */
  const tell = (...keys) => {
    told = run.id;
    write(note, keys.map((key) => words(key)).join(say("views.sentence.joint")));
  };
  // What goes wrong is a mistake of this page's own: it is reported, and said to the visitor.
  const carryOut = (action) =>
    action().catch((error) => {
      tell("failed");
      reportError(error);
    });

  anchors.forEach((anchor, i) => {
    anchor.addEventListener("click", (event) => {
      event.preventDefault();
      if (anchor.getAttribute("aria-disabled") === "true") return;
      tell();
      carryOut(async () => (await keepFile(run.id, FILES[i])) || tell("gone"));
    });
  });
  again.addEventListener("click", () => carryOut(keepRecorded));
  png.addEventListener("click", () => carryOut(() => keepPicture(run)));
  copy.addEventListener("click", () => carryOut(copyLink));

  async function copyLink() {
    const { href, isWhole } = address.link;
    Object.assign(field, { value: href, hidden: false });
    field.select();
    // Not every page has a clipboard: then the link stands there to be copied by hand.
    const isCopied = await navigator.clipboard?.writeText(href).then(() => true, () => false);
    tell(isCopied ? "copied" : "copy_by_hand", ...(isWhole ? [] : ["without_prompt"]));
  }

  function relabel() {
    write(title, words("title"));
    write(subtitle, words(recorded ? "subtitle_recorded" : "subtitle"));
    write(about, recorded ? origin() : words("about"));
    anchors.forEach((anchor, i) => write(anchor, words(FILES[i])));
    write(again, words("json"));
    write(png, words("png"));
    write(copy, words("copy"));
    field.setAttribute("aria-label", words("link"));
  }

  return (kinds) => {
    if (kinds.has("look")) relabel();
    lookUp(kinds);
    if (told !== run.id) tell();
    const hasRun = run.id !== "" && run.steps.length > 0;
    for (const anchor of anchors) {
      anchor.setAttribute("aria-disabled", String(!hasRun));
      if (hasRun) anchor.href = addressOf(run.id, FILES[anchors.indexOf(anchor)]);
      else anchor.removeAttribute("href");
    }
    png.disabled = !hasRun;
    copy.disabled = !hasRun || address.link === null;
    if (copy.disabled) field.hidden = true;
  };
}
