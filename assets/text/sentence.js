// One step of the run told in words.

import { quoted } from "../base/glyphs.js";
import { percent, say } from "../base/words.js";
import { configAt } from "../run/config.js";
import { own } from "../run/step.js";

// The settings that can leave fewer tokens than the vocabulary has, and when they do.
const CUTTERS = {
  top_k: (value) => value > 0,
  top_p: (value) => value < 1,
  min_p: (value) => value > 0,
  top_h: (value) => value > 0,
  typical_p: (value) => value < 1,
  epsilon_cutoff: (value) => value > 0,
  eta_cutoff: (value) => value > 0,
  no_repeat_ngram_size: (value) => value > 0,
  min_new_tokens: (value) => value > 0,
  bad_words_ids: (value) => value.length > 0,
  suppress_tokens: (value) => value.length > 0,
};

export function cutters(config) {
  const names = Object.keys(CUTTERS).filter((name) => config[name] != null && CUTTERS[name](config[name]));
  if (names.length === 0) return say("views.sentence.the_settings");
  if (names.length === 1) return names[0];
  return say("views.sentence.list", { first: names.slice(0, -1).join(say("views.sentence.comma")), last: names.at(-1) });
}

const nameOf = (text, fallback) => quoted(text || fallback || "");

function fed(run, step, index) {
  const args = { number: index + 1, n: step.in };
  if (step.ph === "score") return say("views.sentence.scored", args);
  if (step.ph === "prefill") return say("views.sentence.prefill", args);
  if (!step.kv) return say("views.sentence.no_cache", args);
  const before = run.steps[index - 1];
  const cached = step.kv[0] - step.in;
  if (step.in === 1 && before) {
    return say("views.sentence.decode", { ...args, n: cached, previous: nameOf(own(before)?.[1], before.k) });
  }
  return say("views.sentence.decode_many", { ...args, cached });
}

function chosen(run, step, token) {
  if (step.f) return say("views.sentence.forced", { token });
  if (step.ph === "score") return say("views.sentence.given", { token });
  const vocabulary = run.model?.vocab_size;
  const args = { token, n: step.kept, cutters: cutters(configAt(run, step.i)) };
  if (!configAt(run, step.i).do_sample) return say("views.sentence.greedy", args);
  if (step.kept === 1) return say("views.sentence.only_one", args);
  if (step.kept === vocabulary) return say("views.sentence.drew_from_all", args);
  return say("views.sentence.drew", args);
}

function liked(step) {
  const p = percent(step.p);
  if (step.r === 1) return say("views.sentence.favourite", { p });
  const [favourite] = step.c;
  return say("views.sentence.ranked", {
    p,
    rank: step.r,
    favourite: nameOf(favourite[1]),
    favourite_p: percent(favourite[2]),
  });
}

/** What inference `index` did, as sentences; "" where there is none. */
export function sentenceAt(run, index) {
  const step = run.steps[index];
  if (!step) return "";
  const parts = [fed(run, step, index), chosen(run, step, nameOf(own(step)?.[1] ?? step.t, step.k)), liked(step)];
  if (step.t === "" && !step.fin) parts.push(say("views.sentence.incomplete"));
  if (step.fin) parts.push(say(`views.sentence.fin_${step.ph === "score" ? "score" : step.fin}`));
  return parts.join(say("views.sentence.joint"));
}
