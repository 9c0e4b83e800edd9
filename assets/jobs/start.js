// Whether a longer job can be started: what the run that is shown lacks for it.

const hasText = (run) => run.id !== "" && run.steps.length > 0;
const isGiven = (run) => run.branches[0]?.steps[0]?.ph === "score";

const LACKS = {
  caching: (run) => (hasText(run) ? null : "work_without_run"),
  precision: (run) => (hasText(run) ? null : "work_without_run"),
  sampled: (run) => (!hasText(run) ? "work_without_run" : isGiven(run) ? "sampled_of_scored_text" : null),
  calibration: (run) => (!hasText(run) ? "calibration_without_text" : isGiven(run) ? null : "calibration_of_own_text"),
  roofline: () => null,
};

/** The entry of the texts' `messages` that says what a job lacks; null where it can be started. */
export const lackOf = (kind, run) => LACKS[kind](run);
