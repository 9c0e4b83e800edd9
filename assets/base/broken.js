// A height axis that breaks where few values are far above the rest: marked, and with a label.

import { colour, ticks } from "./plot.js";
import { say } from "./words.js";

// So many times the usual value can be drawn at its height without flattening the rest.
const TALL = 2.5;
const ROOM = 1.08;
// Parts of the height below and above the break.
const [BELOW, ABOVE] = [0.72, 0.84];

const highest = (values) => values.reduce((most, value) => (value > most ? value : most), 0);

/** The value that all but one in fifty stay below. */
function usualOf(values) {
  const sorted = values.filter(Number.isFinite).sort((a, b) => a - b);
  return sorted.length > 0 ? sorted[Math.floor(0.98 * (sorted.length - 1))] : 0;
}

/**
 * What is drawn between two heights of a chart: [from, to] in values and [bottom, top] in parts of
 * the chart; two such parts where the axis breaks. Each value stands in one of them.
 *
 * @param values all that are drawn
 * @param usual those among them that are to be told apart
 */
export function heights(values, usual, [bottom, top] = [0, 1]) {
  const [most, cut] = [highest(values), ROOM * usualOf(usual)];
  if (!(cut > 0) || most <= TALL * cut) return [{ range: [0, ROOM * most || 1], domain: [bottom, top] }];
  // No value stands between the two parts, nor so near to one that its line is seen in the other.
  const from = (cut + values.reduce((least, value) => (value > cut && value < least ? value : least), most)) / 2;
  const at = (part) => bottom + part * (top - bottom);
  return [
    { range: [0, cut], domain: [bottom, at(BELOW)] },
    { range: [from, from + ROOM * (most - from)], domain: [at(ABOVE), top], most },
  ];
}

/** The same as Plotly's axes, with marks in the words of `text`; the upper one, where there is one, is `y<n>`. */
export function heightAxes(parts, base, text, n) {
  const [low, high] = parts;
  const axis = ({ range, domain }, marks) => ({ ...base, range, domain, tickvals: marks, ticktext: marks.map(text) });
  const axes = { yaxis: axis(low, ticks(low.range[1], 3)) };
  if (high) axes[`yaxis${n}`] = axis(high, [high.most]);
  return axes;
}

/** The traces, drawn above a break as well. */
export const aboveToo = (traces, parts, n) =>
  parts.length < 2 ? traces : [...traces, ...traces.map((trace) => ({ ...trace, name: `${trace.name}_above`, yaxis: `y${n}` }))];

export const brokenInWords = () => say("views.axis.broken");

/** The sign of a break on the axis, and the word for it. */
export function breakMarks(parts) {
  if (parts.length < 2) return [];
  const mark = {
    y: (parts[0].domain[1] + parts[1].domain[0]) / 2, xref: "paper", yref: "paper", yanchor: "middle", showarrow: false,
  };
  return [
    { ...mark, x: 0, xanchor: "center", text: "≈", font: { size: 17, color: colour("ink") } },
    { ...mark, x: 1, xanchor: "right", text: brokenInWords(), font: { size: 10.5, color: colour("soft") } },
  ];
}
