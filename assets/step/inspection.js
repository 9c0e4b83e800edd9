// What the server says of the chosen step: one question at a time, the newest of those that wait.

import { inspect } from "../run/server.js";

const MAX_FIND = 200;

/** What is asked of a run's chosen step, and what came back. */
export class Inspection {
  #run;
  #question = { run: "", branch: 0, index: null, settings: null, find: "" };
  #answers = { plain: null, preview: null, found: null, error: null };
  #isAsking = false;
  #isDue = false;

  constructor(run) {
    this.#run = run;
  }

  #isOf(answer) {
    return ["run", "branch", "index"].every((key) => answer?.[key] === this.#question[key]);
  }

  /** The settings as they were, of this step or, until its answer is there, of the last one. */
  get measured() {
    return this.#answers.plain;
  }

  get isMeasured() {
    return this.#isOf(this.#answers.plain);
  }

  get isMeasuring() {
    return this.#isAsking;
  }

  get failure() {
    return this.#answers.error;
  }

  /** The settings that are tried in the place of the step's own; null where none are. */
  get tried() {
    return this.#question.settings;
  }

  get sought() {
    return this.#question.find;
  }

  get hits() {
    return this.#question.find && this.#isOf(this.#answers.found) ? this.#answers.found : null;
  }

  /** What other settings would make of step `index`; null where none are tried. */
  previewOf(index) {
    const { settings, index: asked } = this.#question;
    return settings && index === asked && this.#isOf(this.#answers.preview) ? this.#answers.preview : null;
  }

  /** What is shown of step `index`: the preview while settings are tried, else what was measured. */
  shownOf(index) {
    return this.previewOf(index) ?? this.measured;
  }

  /** Takes another step for what is asked; null ends the questions. */
  lookAt(run, branch, index) {
    const question = this.#question;
    if (run === question.run && branch === question.branch && index === question.index) return;
    Object.assign(question, { run, branch, index, settings: null });
    Object.assign(this.#answers, { preview: null, error: null });
    this.#ask();
  }

  /** Tries settings in the place of the step's own; null goes back to these. */
  tryOut(settings) {
    this.#question.settings = settings;
    this.#answers.error = null;
    if (settings === null) this.#answers.preview = null;
    if (settings !== null || !this.isMeasured) this.#ask();
    this.#run.touch("inspection");
  }

  search(text) {
    this.#question.find = text.slice(0, MAX_FIND);
    if (this.#question.find) this.#ask();
    this.#run.touch("inspection");
  }

  /** Asks once more what could not be answered. */
  retry() {
    if (this.#answers.error && !this.#isAsking) this.#ask();
  }

  #ask() {
    const isPossible = this.#question.index !== null && this.#run.live === true;
    this.#isDue = isPossible && this.#isAsking;
    this.#run.touch("inspection");
    if (!isPossible || this.#isAsking) return;
    const sent = { ...this.#question };
    this.#isAsking = true;
    inspect({ ...sent, find: sent.find || null, token: null }).then(
      (text) => this.#ended(() => this.#take(sent, JSON.parse(text))),
      (error) => this.#ended(() => {
        this.#answers.error = { key: "failed" };
        reportError(error);
      }),
    );
  }

  #ended(takeAnswer) {
    this.#isAsking = false;
    takeAnswer();
    if (this.#isDue) this.#ask();
    this.#run.touch("inspection");
  }

  #take(sent, answer) {
    if (["run", "branch", "index"].some((key) => sent[key] !== this.#question[key])) return;
    if ("error" in answer) {
      // What a newer question has overtaken is no news.
      if (!this.#isDue) this.#answers.error = answer.error;
      return;
    }
    this.#answers.error = null;
    if (sent.settings === null) this.#answers.plain = answer;
    else this.#answers.preview = { ...answer, settings: sent.settings };
    if (sent.find) this.#answers.found = { ...answer, find: sent.find };
  }
}
