// The wheel: pause, go on, one inference, how fast; and what going on from a place has cost.

import { make, write } from "../base/make.js";
import { recall, remember } from "../base/remember.js";
import { replayBar } from "../run/replay.js";
import { canContinue, canFork, isRunning, order, ordered, store } from "../run/store.js";
import { count, duration, fixed, say } from "../base/words.js";

const SPEEDS = [null, 8, 4, 2, 1, 0.5];

let speed = SPEEDS.find((value) => String(value) === recall("speed")) ?? null;
let goesOnAtNewSpeed = false;

/** What the page asks of the server now, as JSON: how to go on, and how fast. */
export const takeOrder = () => JSON.stringify({ ...ordered(), speed });

const press = (id) => document.querySelector(`#${id}`)?.click();

const canPause = () => ["prefill", "decoding"].includes(store.state);

export function pauseOrResume() {
  goesOnAtNewSpeed = false;
  if (canPause()) press("wheel-pause");
  else order();
}

export const oneStep = () => order({ steps: 1 });

const chooseAgain = () => order({ at: store.pinned });

// The server reads the speed when a run begins or goes on.
function changeSpeed(value) {
  speed = value;
  remember("speed", String(speed));
  goesOnAtNewSpeed = canPause();
  if (goesOnAtNewSpeed) press("wheel-pause");
}

function goOnAtNewSpeed() {
  if (isRunning()) return;
  if (goesOnAtNewSpeed && store.state === "paused") order();
  goesOnAtNewSpeed = false;
}

const KEYS = { p: pauseOrResume, n: oneStep };

document.addEventListener("keydown", (event) => {
  if (event.repeat || event.altKey || event.ctrlKey || event.metaKey || event.shiftKey) return;
  if (event.target.closest?.("input, textarea, select, [contenteditable]") || !store.live) return;
  const act = KEYS[event.key.toLowerCase()];
  if (!act || store.run === "") return;
  event.preventDefault();
  act();
});

/** Seconds that reading `positions` again would take at the rate of this run's own prefill. */
function readingAgain(positions) {
  const first = store.branches[0]?.steps[0];
  return first?.ph === "prefill" && first.in > 0 ? (first.s / first.in) * positions : null;
}

/** What the last going on from another place reused and read again, in words. */
function lastNote() {
  const notes = store.notes.filter(([branch]) => branch === store.branch);
  if (notes.length === 0) return "";
  const [, , reused, fed, seconds, reason] = notes.at(-1);
  const words = (key, args) => say(`views.wheel.${key}`, args);
  if (fed > 0) {
    const why = words(`reason_${reason ?? "unknown"}`);
    return words(reused > 0 ? "read_some" : "read_all", { reused, fed, took: duration(seconds), why });
  }
  const estimate = readingAgain(reused);
  const first = store.branches[0].steps[0];
  const saved = estimate === null ? "" : words("saved", { estimate: duration(estimate), prompt: count(first.in), took: duration(first.s) });
  return words("reused", { reused, took: duration(seconds) }) + saved;
}

function speedControl() {
  const select = make("select", { id: "speed" });
  for (const value of SPEEDS) select.append(make("option", { value: String(value) }));
  select.value = String(speed);
  select.addEventListener("change", () => changeSpeed(SPEEDS[select.selectedIndex]));
  return select;
}

function wordSpeeds(select) {
  [...select.options].forEach((option, i) => {
    const value = SPEEDS[i];
    write(option, value === null ? say("views.wheel.fastest") : say("views.wheel.a_second", { n: fixed(value, value < 1 ? 1 : 0) }));
  });
}

export function wheel(root) {
  root.setAttribute("role", "toolbar");
  const toggle = make("button", { type: "button", id: "pause" });
  const [step, again] = ["step", "choose-again"].map((id) => make("button", { type: "button", id }));
  const [label, name, select] = [make("label"), make("span"), speedControl()];
  const note = make("p", { id: "wheel-note" });
  const bar = make("div");
  const own = make("div", { className: "wheel-own" }, toggle, step, again, label, note);
  label.append(name, select);
  note.setAttribute("aria-live", "polite");
  toggle.addEventListener("click", pauseOrResume);
  step.addEventListener("click", oneStep);
  again.addEventListener("click", chooseAgain);
  root.replaceChildren(own, bar);
  const drawReplay = replayBar(bar);
  return (kinds) => {
    drawReplay(kinds);
    own.hidden = !store.live;
    if (kinds.has("look")) {
      root.setAttribute("aria-label", say("views.wheel.title"));
      write(step, say("views.wheel.step"));
      step.title = say("views.wheel.step_help");
      write(again, say("views.wheel.again"));
      again.title = say("views.wheel.again_help");
      write(name, say("views.wheel.speed"));
      wordSpeeds(select);
    }
    again.disabled = !canFork() || store.pinned === null;
    if (!["look", "state", "run", "steps", "branch", "tree", "head"].some((kind) => kinds.has(kind))) return;
    if (kinds.has("state")) goOnAtNewSpeed();
    const runs = isRunning();
    write(toggle, say(runs ? "views.wheel.pause" : "views.wheel.resume"));
    toggle.title = say(runs ? "views.wheel.pause_help" : "views.wheel.resume_help");
    toggle.disabled = runs ? !canPause() : !canContinue();
    step.disabled = !canContinue();
    write(note, runs ? "" : lastNote());
  };
}

