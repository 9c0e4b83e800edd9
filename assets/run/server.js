// What the page's scripts ask the server on their own account; a page without one gets no answer.

let stepsFrom = null;
let inspectStep = null;

/** From now on these answer: promises of a frame's text, and of an inspection's JSON. */
export function connect(askSteps, askStep) {
  stepsFrom = askSteps;
  inspectStep = askStep;
}

/** What a run or a job has from a place on; a promise of a frame's text. */
export const askFor = (id, ...place) => (stepsFrom ? stepsFrom(id, ...place) : Promise.resolve(""));

/** What there is to know of one step; a promise of JSON. */
export const inspect = (question) =>
  inspectStep ? inspectStep(JSON.stringify(question)) : Promise.resolve('{"error":null}');
