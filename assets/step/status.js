// The strip: what the inference under the cursor did, and what the run waits for or ended with.

import { make, write } from "../base/make.js";
import { bytes, count, duration, fixed, say } from "../base/words.js";
import { isJobRunning } from "../jobs/job.js";

const CELLS = ["inference", "fed", "chose", "cache", "bytes", "took"];
// Cells with a name of their own for a token that was given: no inference made or chose it.
const SCORED = ["inference", "fed", "chose", "took"];

const isScored = (step) => step?.ph === "score";

const word = (key, args) => say(`views.status.${key}`, args);

function values(step, run) {
  const vocabulary = run.model?.vocab_size;
  const seconds = `${duration(step.s)} · ${fixed(1 / Math.max(step.s, 1e-9), 1)} tok/s`;
  return {
    inference: [word(isScored(step) ? "scored_of" : "of", { number: step.i + 1, total: run.steps.length }), word(`${step.ph}_phase`)],
    fed: [word("tokens", { n: step.in })],
    chose: [vocabulary ? word("tokens", { n: vocabulary }) : "–"],
    cache: [step.kv ? word("positions", { n: step.kv[0] }) : word(isScored(step) ? "scored_none" : "none")],
    bytes: [step.kv ? bytes(step.kv[1]) : "–"],
    took: [step.ph === "decode" ? seconds : duration(step.s)],
  };
}

/** The state of the run in words; null where the numbers say it all. */
function note(run, address) {
  const message = run.lost ?? run.switching?.message ?? run.message ?? run.refusal ?? run.told;
  if (message) {
    const { key, args = {} } = message;
    return say(`messages.${key}`, args);
  }
  const n = run.steps.length;
  // One branch can be at its end while another one, which is shown, can go on.
  const reason = run.isRunning ? null : run.steps.at(-1)?.fin;
  if (reason && isScored(run.steps.at(-1))) return say("views.status.finished_score", { n });
  if (reason) return say(`views.status.finished_${reason}`, { n });
  if (run.state === "stopped") return say("views.status.stopped", { n });
  if (["paused", "finished"].includes(run.state)) return say(run.live ? "views.status.paused" : "views.replay.paused", { n });
  if (run.state === "prefill" && run.progress) {
    const [done, total] = run.progress;
    return say(run.config.scored ? "views.status.scoring" : "views.status.prefilling", { done, total });
  }
  if (run.isRunning && run.steps.length === 0) return say("views.status.waiting");
  if (run.steps.length > 0) return null;
  const other = address.otherModel;
  return other ? word("other_model", other) : word("empty");
}

export function status(root, run, address) {
  root.setAttribute("role", "group");
  const strip = make("dl", { className: "strip" });
  const cells = Object.fromEntries(
    CELLS.map((name) => {
      const [term, value, extra] = [make("dt"), make("dd"), make("small")];
      const label = make("span");
      term.append(label, extra);
      strip.append(make("div", { className: `cell ${name}` }, term, value));
      return [name, { label, value, extra }];
    }),
  );
  const text = make("span");
  text.setAttribute("aria-live", "polite");
  const bar = make("progress", { max: 1 });
  const line = make("p", { className: "note" }, text, bar);
  root.replaceChildren(strip, line);

  return (kinds) => {
    if (kinds.has("look")) root.setAttribute("aria-label", say("views.status.title"));
    const step = run.steps[run.cursor];
    const shown = step ? values(step, run) : {};
    for (const [name, { label, value, extra }] of Object.entries(cells)) {
      write(label, word(isScored(step) && SCORED.includes(name) ? `scored_${name}` : name));
      write(value, shown[name]?.[0] ?? "–");
      write(extra, shown[name]?.[1] ?? "");
    }
    write(text, note(run, address) ?? word(isScored(run.steps.at(-1)) ? "scoring_on" : "writing"));
    const { state, progress } = run.switching ?? run;
    const [done, total] = progress ?? [0, 0];
    const isMeasured = total > 0 && ["loading", "prefill"].includes(state);
    bar.hidden = !isMeasured;
    if (isMeasured) bar.value = done / total;
    bar.setAttribute("aria-label", isMeasured ? `${count(done)} / ${count(total)}` : "");
    root.dataset.state = run.refusal || run.lost ? "error" : run.state || "ready";
    document.body.dataset.modelState = run.switching ? "loading" : "ready";
    document.body.dataset.workState = isJobRunning() ? "running" : "ready";
    document.body.dataset.runState = run.isRunning ? "running" : run.state || "ready";
  };
}
