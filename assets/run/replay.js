// A run that is only looked at, played again: it drives how many of its steps the store shows.

import { onKeys } from "../base/keys.js";
import { make, write } from "../base/make.js";
import { recall, remember } from "../base/remember.js";
import { touchAll } from "../base/watched.js";
import { say } from "../base/words.js";

const MEASURED = "measured";
const SPEEDS = [MEASURED, "0.5", "1", "2", "4", "8", "16", "32"];
const BUTTONS = ["play", "step"];

const isAtEnd = (run) => run.steps.length >= run.whole.length;

class Player {
  constructor(run) {
    this.run = run;
    this.timer = 0;
    this.speed = SPEEDS.includes(recall("replaySpeed")) ? recall("replaySpeed") : MEASURED;
    this.moveOn();
  }

  /** Another run or branch is shown: it rests at its end. */
  moveOn() {
    const wasPlaying = this.isPlaying && this.id === this.run.id;
    this.stop();
    this.id = this.run.id;
    this.branch = this.run.branch;
    if (wasPlaying) this.tell();
  }

  get isPlaying() {
    return this.timer !== 0;
  }

  get isOfThis() {
    return this.id === this.run.id && this.branch === this.run.branch;
  }

  stop() {
    clearTimeout(this.timer);
    this.timer = 0;
  }

  play() {
    if (isAtEnd(this.run)) this.run.showUpTo(0);
    this.run.pin(null);
    this.due = performance.now();
    this.wait();
    this.tell();
  }

  pause() {
    this.stop();
    this.tell();
  }

  toggle() {
    if (this.isPlaying) this.pause();
    else this.play();
  }

  /** Shows the first `count` steps and rests there. */
  goTo(count) {
    this.stop();
    this.run.showUpTo(Math.min(this.run.whole.length, Math.max(0, count)));
    this.tell();
  }

  setSpeed(name) {
    this.speed = name;
    remember("replaySpeed", name);
    if (!this.isPlaying) return;
    this.stop();
    this.due = performance.now();
    this.wait();
  }

  // A timer comes late: the next step is due after the last one was, not after it was shown.
  wait() {
    const next = this.run.whole[this.run.steps.length];
    this.due += this.speed === MEASURED ? 1000 * (next?.s ?? 0) : 1000 / Number(this.speed);
    this.timer = setTimeout(() => this.go(), Math.max(0, this.due - performance.now()));
  }

  go() {
    this.run.showUpTo(this.run.steps.length + 1);
    if (!isAtEnd(this.run)) return this.wait();
    this.stop();
    this.tell();
  }

  /** The state as a run has it that is written, rests or is at its end. */
  tell() {
    const rest = isAtEnd(this.run) && this.run.steps.at(-1)?.fin ? "finished" : "paused";
    this.run.state = this.isPlaying ? "decoding" : rest;
    touchAll("state", "cursor");
  }
}

const isReplay = (run) => run.live === false && run.id !== "" && run.prompt.length > 0;

/** Play, step, speed and place of a run that cannot go on; hidden for every other. */
export function replayBar(root, run) {
  const player = new Player(run);
  const [play, step] = BUTTONS.map((name) => make("button", { type: "button", id: `replay-${name}`, className: "quiet" }));
  const speed = make("select", { id: "replay-speed" });
  const options = SPEEDS.map((value) => make("option", { value }));
  const scrub = make("input", { type: "range", id: "replay-scrub", min: 0, step: 1 });
  const place = make("span", { className: "replay-place" });
  speed.append(...options);
  speed.value = player.speed;
  root.classList.add("replay-bar");
  root.setAttribute("role", "group");
  root.replaceChildren(play, step, scrub, place, speed);

  play.addEventListener("click", () => player.toggle());
  step.addEventListener("click", () => player.goTo(run.steps.length + 1));
  speed.addEventListener("change", () => player.setSpeed(speed.value));
  scrub.addEventListener("input", () => player.goTo(Number(scrub.value)));
  onKeys({
    p: () => isReplay(run) && player.toggle(),
    n: () => isReplay(run) && player.goTo(run.steps.length + 1),
  });

  function relabel() {
    root.setAttribute("aria-label", say("views.replay.title"));
    speed.setAttribute("aria-label", say("views.replay.speed"));
    scrub.setAttribute("aria-label", say("views.replay.scrub"));
    write(step, say("views.replay.step"));
    step.title = say("views.replay.step_help");
    play.title = say("views.replay.play_help");
    for (const option of options) {
      const { value } = option;
      write(option, value === MEASURED ? say("views.replay.as_it_was") : say("views.replay.rate", { rate: value }));
    }
  }

  return (kinds) => {
    root.hidden = !isReplay(run);
    if (!player.isOfThis) player.moveOn();
    // Something else began: a run that waits in line, a model that is loaded.
    else if (player.isPlaying && run.state !== "decoding") player.stop();
    if (kinds.has("look")) relabel();
    if (root.hidden) return;
    // A recorded run may have been left in the middle of a branch.
    if (run.state === "finished" && !run.steps.at(-1)?.fin) player.tell();
    const [shown, all] = [run.steps.length, run.whole.length];
    scrub.max = all;
    scrub.value = shown;
    write(place, say("views.replay.place", { shown, all }));
    scrub.setAttribute("aria-valuetext", place.textContent);
    write(play, say(player.isPlaying && run.isRunning ? "views.replay.pause" : "views.replay.play"));
    step.disabled = isAtEnd(run);
  };
}
