// The wheel: pause, go on, one inference, how fast; and what going on from a place has cost.

import { onKeys } from "../base/keys.js";
import { make, write } from "../base/make.js";
import { recall, remember } from "../base/remember.js";
import { count, duration, fixed, say } from "../base/words.js";
import { canContinue, canFork, order, ordered, otherModel } from "../run/order.js";
import { replayBar } from "../run/replay.js";

const SPEEDS = [null, 8, 4, 2, 1, 0.5];

let speed = SPEEDS.find((value) => String(value) === recall("speed")) ?? null;

/** What the page asks of the server now, as JSON: how to go on, and how fast. */
export const takeOrder = () => JSON.stringify({ ...ordered(), speed });

const press = (id) => document.querySelector(`#${id}`)?.click();

const canPause = (run) => ["prefill", "decoding"].includes(run.state);

/** What a reader can do with a run at the wheel. */
class Wheel {
  constructor(run) {
    this.run = run;
    this.goesOnAtNewSpeed = false;
  }

  pauseOrResume() {
    this.goesOnAtNewSpeed = false;
    if (canPause(this.run)) press("wheel-pause");
    else order(this.run);
  }

  oneStep() {
    order(this.run, { steps: 1 });
  }

  chooseAgain() {
    order(this.run, { at: this.run.pinned });
  }

  // The server reads the speed when a run begins or goes on.
  changeSpeed(value) {
    speed = value;
    remember("speed", String(speed));
    this.goesOnAtNewSpeed = canPause(this.run);
    if (this.goesOnAtNewSpeed) press("wheel-pause");
  }

  goOnAtNewSpeed() {
    if (this.run.isRunning) return;
    if (this.goesOnAtNewSpeed && this.run.state === "paused") order(this.run);
    this.goesOnAtNewSpeed = false;
  }

  /** The keys that do the same. */
  listen() {
    const isHere = () => this.run.live && this.run.id !== "";
    onKeys({ p: () => isHere() && this.pauseOrResume(), n: () => isHere() && this.oneStep() });
  }
}

/** Seconds that reading `positions` again would take at the rate of this run's own prefill. */
function readingAgain(run, positions) {
  const first = run.branches[0]?.steps[0];
  return first?.ph === "prefill" && first.in > 0 ? (first.s / first.in) * positions : null;
}

/** Why a run does not go on, or what the last going on from another place reused, in words. */
function noteOf(run) {
  const other = run.live && run.steps.length > 0 ? otherModel(run) : null;
  return other ? say("messages.work_other_model", other) : lastNote(run);
}

/** What the last going on from another place reused and read again, in words. */
function lastNote(run) {
  const notes = run.notes.filter(([branch]) => branch === run.branch);
  if (notes.length === 0) return "";
  const [, , reused, fed, seconds, reason] = notes.at(-1);
  const words = (key, args) => say(`views.wheel.${key}`, args);
  if (fed > 0) {
    const why = words(`reason_${reason ?? "unknown"}`);
    return words(reused > 0 ? "read_some" : "read_all", { reused, fed, took: duration(seconds), why });
  }
  const estimate = readingAgain(run, reused);
  const first = run.branches[0].steps[0];
  const saved = estimate === null ? "" : words("saved", { estimate: duration(estimate), prompt: count(first.in), took: duration(first.s) });
  return words("reused", { reused, took: duration(seconds) }) + saved;
}

function speedControl(hands) {
  const select = make("select", { id: "speed" });
  for (const value of SPEEDS) select.append(make("option", { value: String(value) }));
  select.value = String(speed);
  select.addEventListener("change", () => hands.changeSpeed(SPEEDS[select.selectedIndex]));
  return select;
}

function wordSpeeds(select) {
  [...select.options].forEach((option, i) => {
    const value = SPEEDS[i];
    write(option, value === null ? say("views.wheel.fastest") : say("views.wheel.a_second", { n: fixed(value, value < 1 ? 1 : 0) }));
  });
}

/** Gradio's own button, which can be pressed while there is something to stop. */
function allowStop(run) {
  const stop = document.querySelector("#stop");
  if (stop) stop.disabled = !run.isRunning;
}

export function wheel(root, run) {
  const hands = new Wheel(run);
  root.setAttribute("role", "toolbar");
  const toggle = make("button", { type: "button", id: "pause" });
  const [step, again] = ["step", "choose-again"].map((id) => make("button", { type: "button", id }));
  const [label, name, select] = [make("label"), make("span"), speedControl(hands)];
  const note = make("p", { id: "wheel-note" });
  const bar = make("div");
  const own = make("div", { className: "wheel-own" }, toggle, step, again, label, note);
  label.append(name, select);
  note.setAttribute("aria-live", "polite");
  toggle.addEventListener("click", () => hands.pauseOrResume());
  step.addEventListener("click", () => hands.oneStep());
  again.addEventListener("click", () => hands.chooseAgain());
  hands.listen();
  root.replaceChildren(own, bar);
  const drawReplay = replayBar(bar, run);
  return (kinds) => {
    drawReplay(kinds);
    own.hidden = !run.live;
    if (kinds.has("look")) {
      root.setAttribute("aria-label", say("views.wheel.title"));
      write(step, say("views.wheel.step"));
      step.title = say("views.wheel.step_help");
      write(again, say("views.wheel.again"));
      again.title = say("views.wheel.again_help");
      write(name, say("views.wheel.speed"));
      wordSpeeds(select);
    }
    again.disabled = !canFork(run) || run.pinned === null;
    if (!["look", "state", "run", "steps", "branch", "tree", "head"].some((kind) => kinds.has(kind))) return;
    if (kinds.has("state")) hands.goOnAtNewSpeed();
    const goesOn = canContinue(run);
    write(toggle, say(goesOn ? "views.wheel.resume" : "views.wheel.pause"));
    toggle.title = say(goesOn ? "views.wheel.resume_help" : "views.wheel.pause_help");
    toggle.disabled = !goesOn && !canPause(run);
    step.disabled = !goesOn;
    allowStop(run);
    write(note, run.isRunning ? "" : noteOf(run));
  };
}

