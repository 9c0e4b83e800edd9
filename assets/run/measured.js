// What was measured on the labelled questions, and of which model.

const element = document.getElementById("decoding-live-evaluation");

/** The evaluation that the page quotes; null where there is none. */
export const evaluation = element ? JSON.parse(element.textContent) : null;

/** Whether it was this very model that was measured: fewer bits make another one of it. */
export const isMeasured = (model) =>
  evaluation !== null && model?.name === evaluation.model && !model.quantization;

/** What marks at this threshold, or the nearest one that was measured, were worth. */
export function marksAt(threshold) {
  const distance = (row) => Math.abs(row.threshold - threshold);
  return evaluation.marks.reduce((best, row) => (distance(row) < distance(best) ? row : best));
}
