// Settings and how they are named; they may change in the middle of a run.

const UNCHANGED = { top_p: 1, typical_p: 1, repetition_penalty: 1, min_p: 0, top_k: 0, no_repeat_ngram_size: 0 };

/** The value of a setting; of one that is not there, the one that changes nothing. */
export const valueOf = (config, name) => config[name] ?? UNCHANGED[name];

/** Those of the settings that are there and change something, as "name value". */
export const inForce = (config, names) =>
  names.filter((name) => config[name] != null && config[name] !== UNCHANGED[name]).map((name) => `${name} ${config[name]}`);

/** Whether tokens are drawn under these settings; a temperature of 0 takes the most probable ones. */
export const draws = (config) => Boolean(config.do_sample) && config.temperature !== 0;

/** The format that a model's weights are in. */
export const precisionOf = (model) => model.quantization ?? model.dtype;

/** Whether step `index` of branch `number` lies on the way to the shown branch's end. */
function isOnPath(run, number, index) {
  let end = Infinity;
  for (let at = run.branch; at !== null; ) {
    if (at === number) return index < end;
    const branch = run.branches[at];
    end = Math.min(end, branch?.at ?? 0);
    at = branch?.parent ?? null;
  }
  return false;
}

/** The settings of a run, by name, that step `index` of the shown branch was chosen with. */
export function configAt(run, index) {
  const until = run.changes.filter(([number, from]) => from <= index && isOnPath(run, number, from));
  const last = until.reduce((latest, change) => (latest && latest[1] > change[1] ? latest : change), null);
  return last?.[2] ?? run.config;
}
