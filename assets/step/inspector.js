// The inspector: all that is known of the chosen step, and what it could have been.

import { make, write } from "../base/make.js";
import { bytes, count, duration, fixed, percent, say } from "../base/words.js";
import { canFork, order, otherModel } from "../run/order.js";
import { own } from "../run/step.js";
import { TokenList, tokenName } from "./candidates.js";
import { drawStages } from "./stages.js";
import { settingsAt, whatIf } from "./whatif.js";

const word = (key, args) => say(`views.inspector.${key}`, args);

// An inspection lists so many; a token behind them is there for another reason.
const FAVOURITES = 20;

const textOf = (step) => own(step)?.[1] || step.t || step.k;

function chosenBy(run, step) {
  if (step.f) return "forced";
  if (step.ph === "score") return "given";
  return settingsAt(run, step.i).do_sample ? "drawn" : "settled";
}

/** Name and value of each fact that came with the step itself. */
function facts(run, step) {
  const before = step.kv ? step.kv[0] - step.in : 0;
  return [
    ["probability", `${percent(step.p)} → ${percent(step.q)}`],
    ["rank", count(step.r)],
    ["entropy", word("bits", { value: fixed(step.H ?? 0, 2) })],
    ["left", word("tokens", { n: step.kept })],
    ["chosen_by", word(chosenBy(run, step))],
    ["fed", word("tokens", { n: step.in })],
    ["cache", step.kv ? word("cache_held", { n: step.kv[0], before, held: bytes(step.kv[1]) }) : word("no_cache")],
    ["layers", layerSum(step)],
    ["took", duration(step.s)],
  ];
}

function layerSum(step) {
  if (!step.L?.length) return "–";
  const [layers, held] = step.L.reduce(([n, sum], [same, , each]) => [n + same, sum + same * each], [0, 0]);
  return word("layers_held", { n: layers, held: bytes(held) });
}

function drawFacts(list, run, step) {
  list.replaceChildren(
    ...facts(run, step).map(([key, value]) => make("div", {}, make("dt", {}, word(key)), make("dd", {}, value))),
  );
}

/** The step's candidates, with a preview's numbers where settings are tried. */
function candidatesOf(step, preview) {
  const ranks = new Map(preview?.ranks ?? []);
  return (preview?.candidates ?? step.c).map(([id, text, p, q], i) => ({
    id, text, p, q,
    rank: id === step.id ? step.r : (ranks.get(id) ?? (i < FAVOURITES || !preview ? i + 1 : null)),
    isOwn: id === step.id,
    isNext: preview?.chosen?.[0] === id,
  }));
}

const foundOf = (step, answer) =>
  answer.found.map(([id, text, p, q, rank]) => ({ id, text, p, q, rank, isOwn: id === step.id, isNext: false }));

/** What can be done with the candidates, or why nothing can. */
function hintOf(run) {
  if (!run.live) return word("recorded_hint");
  const other = otherModel(run);
  return other ? say("messages.work_other_model", other) : word(canFork(run) ? "go_hint" : "pause_first");
}

/** In words, how far the server is with what only it can tell. */
function progress(run, inspection) {
  if (!run.live) return word("recorded");
  const error = inspection.failure;
  if (error) return say(`messages.${error.key}`, error.args);
  if (inspection.isMeasuring) return word("measuring");
  const answer = inspection.shownOf(run.pinned);
  if (!answer) return "";
  const took = word("measured_in", { time: duration(answer.ms / 1000) });
  if (!answer.reread) return took;
  const [reused, fed, seconds] = answer.reread;
  return `${took} ${word("reread", { n: fed, reused, time: duration(seconds) })}`;
}

function heading(title, step) {
  title.replaceChildren(word(step.ph === "score" ? "title_scored" : "title", { number: step.i + 1 }), " ", tokenName(textOf(step)));
  if (step.f) title.append(make("small", {}, word("forced")));
}

/** What has the focus stays where the reader sees it, whatever opens or closes above it. */
function keepInPlace(change) {
  const held = document.activeElement;
  const before = held?.getBoundingClientRect().top;
  change();
  const shift = held && held !== document.body ? held.getBoundingClientRect().top - before : 0;
  if (shift !== 0) scrollBy({ top: shift, behavior: "instant" });
}

export function inspector(root, run, inspection) {
  root.classList.add("inspector");
  const title = make("h2");
  const note = make("p", { className: "reading one-line progress" });
  const close = make("button", { type: "button", className: "quiet", id: "inspector-close" }, "✕");
  const numbers = make("dl", { className: "facts" });
  const box = make("div", { id: "inspector-stages" });
  const trial = make("div", { id: "inspector-what-if" });
  const listTitle = make("h3");
  const hint = make("p", { className: "reading" });
  const field = make("input", { type: "search", id: "token-search", maxLength: 200, autocomplete: "off" });
  const foundNote = make("p", { className: "reading one-line" });
  const stagesTitle = make("h3", { className: "stages-title" });
  const candidates = new TokenList(continueWith);
  const found = new TokenList(continueWith, "tokens found");
  const drawTrial = whatIf(trial, run, inspection);
  note.setAttribute("aria-live", "polite");
  const tokens = make("section", { className: "choices" }, listTitle, hint, candidates.list, field, foundNote, found.list);
  root.replaceChildren(
    make("header", {}, title, note, close),
    numbers,
    make("div", { className: "columns" }, tokens, make("section", {}, stagesTitle, box), trial),
  );

  close.addEventListener("click", () => leave());
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || run.pinned === null) return;
    // A field elsewhere has its own use for this key, and a search is emptied first.
    const isElsewhere = !root.contains(event.target) && event.target.closest?.("input, textarea, select, [contenteditable]");
    if (!isElsewhere && !(event.target === field && field.value)) leave();
  });
  field.addEventListener("input", () => inspection.search(field.value));

  function continueWith(token, isOnce) {
    const index = run.pinned;
    order(run, { branch: run.branch, at: index, token, steps: isOnce ? 1 : null });
    // One token more is looked at here; a text that goes on is watched as it grows.
    if (isOnce) run.pin(index);
    else leave();
  }

  function leave() {
    run.pin(null);
    document.querySelector("#token-stream")?.focus({ preventScroll: true });
  }

  let shown = null;
  let listed = {};
  let drawnStages = null;
  let drawnHits = [];

  function drawStep(step, kinds) {
    const isNew = shown !== step;
    shown = step;
    if (isNew || kinds.has("look")) {
      heading(title, step);
      drawFacts(numbers, run, step);
    }
    const preview = inspection.previewOf(run.pinned);
    const isSame = !isNew && preview === listed.preview && canFork(run) === listed.isAllowed;
    if (isSame && !kinds.has("look")) return;
    listed = { preview, isAllowed: canFork(run) };
    candidates.show(candidatesOf(step, preview), canFork(run));
  }

  function drawHits(step, isForced) {
    const answer = inspection.hits;
    field.hidden = foundNote.hidden = !run.live;
    found.list.hidden = !answer;
    const drawn = [answer, step, canFork(run)];
    if (isForced || drawn.some((part, i) => part !== drawnHits[i])) found.show(answer ? foundOf(step, answer) : [], canFork(run));
    drawnHits = drawn;
    write(foundNote, answer ? word("found", { n: answer.found.length, text: answer.find }) : inspection.sought ? "" : word("search_help"));
  }

  function drawMeasured(step, isForced) {
    const answer = run.live ? inspection.shownOf(run.pinned) : null;
    const isStale = answer !== null && inspection.previewOf(run.pinned) === null && !inspection.isMeasured;
    box.classList.toggle("is-stale", isStale);
    box.setAttribute("aria-busy", String(inspection.isMeasuring));
    root.classList.toggle("is-preview", inspection.tried !== null);
    if (!isForced && answer === drawnStages) return;
    drawnStages = answer;
    if (!answer) return box.replaceChildren(make("p", { className: "reading" }, run.live ? "" : word("stages_recorded")));
    drawStages(box, answer, [step.id, answer.chosen?.[0]], run.model?.vocab_size);
  }

  function drawWords() {
    close.setAttribute("aria-label", word("close"));
    close.title = word("close");
    root.setAttribute("aria-label", word("name"));
    write(listTitle, word("candidates"));
    field.placeholder = word("search");
    field.setAttribute("aria-label", word("search"));
  }

  return (kinds) => {
    root.setAttribute("role", "region");
    const step = run.pinned === null ? undefined : run.steps[run.pinned];
    const isOpen = step !== undefined;
    if (root.classList.contains("is-open") !== isOpen) keepInPlace(() => root.classList.toggle("is-open", isOpen));
    if (kinds.has("look")) drawWords();
    if (!step) {
      inspection.lookAt("", 0, null);
      shown = null;
      return;
    }
    inspection.lookAt(run.id, run.branch, step.i);
    if (kinds.has("state") && !run.isRunning) inspection.retry();
    drawStep(step, kinds);
    write(note, progress(run, inspection));
    write(hint, hintOf(run));
    write(stagesTitle, word(inspection.tried ? "stages_preview" : "stages"));
    trial.hidden = !run.live;
    if (kinds.has("inspection") || kinds.has("look") || kinds.has("cursor") || kinds.has("head")) {
      drawMeasured(step, kinds.has("look"));
      drawHits(step, kinds.has("look"));
    }
    drawTrial();
  };
}
