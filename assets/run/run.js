// A run as the page knows it: what was sent of it, where the reader looks, and who draws it.

import { Watched } from "../base/watched.js";
import { readFrame } from "./frame.js";
import { askFor } from "./server.js";

/** @import { Frame, Step } from "./frame.js" */

const MOST_PAST = 50;

const newBranch = (parent, at) => ({ parent, at, length: at, steps: [] });

/** Tokens on the way from the prompt to the last step of a branch that is known here. */
export const lengthOf = ({ at, steps }) => at + steps.length;

export const createRun = () => new Run();

class Run extends Watched {
  id = "";
  state = "";
  message = null;
  refusal = null;
  told = null;
  lost = null;
  progress = null;
  model = null;
  loaded = null;
  switching = null;
  config = {};
  settings = null;
  prompt = [];
  live = true;
  /** @type {Step[]} the path of the branch that is shown: what all views draw */
  steps = [];
  branch = 0;
  branches = [];
  // What views drew before this step is still on the shown path; what they drew from it on is not.
  partedAt = 0;
  notes = [];
  changes = [];
  hovered = null;
  pinned = null;
  // Ids of the runs that stood here before.
  #past = [];
  #isAsking = false;
  // Number of the branch that the server writes, and the whole path of the one that is shown.
  #written = 0;
  #whole = this.steps;

  drawn() {
    this.partedAt = Infinity;
  }

  get isRunning() {
    return ["queued", "loading", "prefill", "decoding"].includes(this.state);
  }

  /** All steps of the shown branch that are known, also while a replay shows fewer. */
  get whole() {
    return this.#whole;
  }

  /** Index of the step that all views show; -1 before the first. */
  get cursor() {
    return Math.min(this.hovered ?? this.pinned ?? Infinity, this.steps.length - 1);
  }

  /** Whether the newest step is shown, as no other was chosen. */
  get follows() {
    return this.hovered === null && this.pinned === null;
  }

  hover(index) {
    if (index === this.hovered) return;
    this.hovered = index;
    this.touch("cursor");
  }

  pin(index) {
    this.hovered = null;
    this.pinned = index;
    this.touch("cursor");
  }

  /** A step on the way to the end of a branch; undefined where that is not known (yet). */
  stepOf(number, index) {
    let branch = this.branches[number];
    while (branch && index < branch.at) branch = this.branches[branch.parent];
    return branch?.steps[index - branch.at];
  }

  /** Adds what is known of a branch behind the steps that are there already. */
  #extend(path, number) {
    for (let step = this.stepOf(number, path.length); step; step = this.stepOf(number, path.length)) path.push(step);
    return path;
  }

  /** Shows the first `count` steps of the branch, as a replay does; `null`: all of them. */
  showUpTo(count) {
    const before = this.steps.length;
    this.steps = count === null ? this.#whole : this.#whole.slice(0, count);
    if (this.steps.length >= before) return this.touch("steps", "cursor");
    this.partedAt = Math.min(this.partedAt, this.steps.length);
    this.touch("branch", "steps", "cursor");
  }

  /** Has all views show another branch. */
  showBranch(number) {
    this.#whole = this.#extend([], number);
    const other = this.#whole.findIndex((step, i) => step !== this.steps[i]);
    const parted = other < 0 ? this.#whole.length : other;
    if (this.pinned > parted) this.pinned = null;
    Object.assign(this, {
      branch: number, steps: this.#whole, hovered: null, partedAt: Math.min(this.partedAt, parted),
    });
    this.touch("branch", "steps", "cursor", "state");
  }

  /**
   * Takes one frame of a run; old, repeated and early ones do no harm.
   * @param {Frame} frame
   */
  receive(frame) {
    if (this.#past.includes(frame.run)) return;
    if (frame.model) {
      this.loaded = frame.model;
      // A run that is shown keeps the model that made it.
      if (this.id === "") this.model = frame.model;
      this.touch("head");
    }
    if (frame.switch) return this.#switchModel(frame);
    if (frame.run === "") return this.#waitFor(frame);
    if (frame.run !== this.id) this.#begin(frame.run);
    this.#take(frame);
    this.#follow(frame);
    this.#setState(frame);
    if (this.isRunning) this.told = null;
    if (this.#gap()) this.#ask();
  }

  // What the page waits for belongs to no run yet: the last run stays to be looked at.
  #waitFor(frame) {
    const isAboutModel = frame.state === "ready" || frame.state === "loading";
    if (isAboutModel && this.id !== "" && this.state !== "loading") return;
    // The next frame of a run that goes on would take the message away with it.
    this.refusal = frame.state === "error" ? frame.message : null;
    this.#setState(frame);
  }

  // Another model on its way; what is shown stays.
  #switchModel({ state, message = null, progress = null }) {
    this.switching = ["queued", "loading"].includes(state) ? { state, message, progress } : null;
    this.refusal = state === "error" ? message : null;
    this.told = ["ready", "stopped"].includes(state) ? message : null;
    // What was said of the run before is older than this.
    if (message) this.message = null;
    this.touch("state");
  }

  #begin(id) {
    if (this.id) this.#past.push(this.id);
    if (this.#past.length > MOST_PAST) this.#past.shift();
    this.#whole = [];
    this.#written = 0;
    Object.assign(this, {
      id, refusal: null, told: null, config: {}, prompt: [], live: true,
      steps: this.#whole, branch: 0, branches: [newBranch(null, 0)], partedAt: 0, notes: [], changes: [],
      hovered: null, pinned: null,
    });
    this.touch("run", "head", "steps", "branch", "tree", "cursor");
  }

  #take(frame) {
    this.#takeHead(frame.head);
    this.#takeTree(frame);
    const number = frame.b ?? 0;
    const branch = this.branches[number];
    if (!branch) return false;
    const known = lengthOf(branch);
    for (const step of frame.steps) if (step.i === lengthOf(branch)) this.#append(branch, step);
    branch.length = Math.max(branch.length, frame.total);
    if (lengthOf(branch) === known) return false;
    this.touch("steps", "cursor");
    return true;
  }

  #takeHead(head) {
    if (!head || this.prompt.length > 0) return;
    Object.assign(this, { live: true, ...head, loaded: head.live === false ? this.loaded : head.model });
    this.touch("head");
  }

  #takeTree({ tree = [], notes, changes }) {
    for (const [number, [parent, from, length]] of tree.entries()) {
      this.branches[number] ??= newBranch(parent, from);
      this.branches[number].length = Math.max(this.branches[number].length, length);
      this.touch("tree");
    }
    if (notes) Object.assign(this, { notes, changes: changes ?? this.changes });
    if (notes || changes) this.touch("tree");
  }

  #append(branch, step) {
    branch.steps.push(step);
    this.#extend(this.#whole, this.branch);
  }

  /** The branch that is being written is shown, until the reader looks at another one. */
  #follow({ b: number = 0 }) {
    if (number === this.#written || !this.branches[number] || !this.live) return;
    this.#written = number;
    if (number !== this.branch) this.showBranch(number);
  }

  /** A branch with a gap: its number and where the gap begins; null where nothing is missing. */
  #gap() {
    if (this.prompt.length === 0 && this.branches.some((branch) => branch.length > 0)) return [0, 0];
    const number = this.branches.findIndex((branch) => branch.length > lengthOf(branch));
    return number < 0 ? null : [number, lengthOf(this.branches[number])];
  }

  #setState({ state, message = null, progress = null }) {
    Object.assign(this, { state, message, progress });
    this.touch("state", "cursor");
  }

  // Gradio merges the updates of a background tab, so frames can be lost.
  #ask() {
    if (this.#isAsking) return;
    this.#isAsking = true;
    askFor(this.id, ...this.#gap()).then(
      (text) => {
        this.#isAsking = false;
        const frame = readFrame(text);
        // Its state may be older than that of a frame which came while it was under way.
        if (frame?.run === this.id && this.#take(frame) && this.#gap()) this.#ask();
      },
      (error) => {
        this.#isAsking = false;
        reportError(error);
      },
    );
  }
}
