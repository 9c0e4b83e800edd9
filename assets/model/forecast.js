// What the cache of the loaded model will cost: a forecast from its config, and the run's own point.

import { make, write } from "../base/make.js";
import { baseLayout, Chart, colour } from "../base/plot.js";
import { bytes, count, say } from "../base/words.js";

const BATCHES = [1, 8, 32];
const POINTS = 60;
const SHORTEST = 16;
const LONGEST = 2 ** 40;

function cacheBytes(model, positions, batch = 1) {
  let sum = 0;
  for (const layer of model.cache_layers) {
    const kept = layer.max_positions === null ? positions : Math.min(positions, layer.max_positions);
    sum += layer.fixed_bytes + layer.position_bytes * kept;
  }
  return batch * sum;
}

/** The longest text whose cache stays within a limit; null where any does. */
function longestWithin(model, limit, batch = 1) {
  if (cacheBytes(model, LONGEST, batch) <= limit) return null;
  let [low, high] = [0, LONGEST];
  while (low < high) {
    const middle = Math.ceil((low + high) / 2);
    if (cacheBytes(model, middle, batch) <= limit) low = middle;
    else high = middle - 1;
  }
  return low;
}

const rightEnd = (model) => Math.max(2 * (model.context_length ?? 32768), 4096);

function lengths(model) {
  const [from, to] = [Math.log(SHORTEST), Math.log(rightEnd(model))];
  return Array.from({ length: POINTS }, (_, i) => Math.round(Math.exp(from + ((to - from) * i) / (POINTS - 1))));
}

function powers(from, to) {
  const found = [];
  for (let power = Math.ceil(Math.log10(from)); power <= Math.log10(to); power += 1) found.push(10 ** power);
  return found;
}

const measuredPoint = (run) => {
  const step = run.steps[run.cursor];
  // The run may be another model's than the one that is loaded now.
  const isOfThis = ["name", "dtype", "weight_bytes"].every((key) => run.model?.[key] === run.loaded?.[key]);
  return isOfThis && step?.kv && step.kv[0] > 0 && step.kv[1] > 0 ? step.kv : null;
};

function limits(model) {
  return [
    ["weights", model.weight_bytes, "entropy", "solid"],
    ["free", model.free_bytes, "accent", "dash"],
    ["total", model.total_bytes, "soft", "dot"],
  ].filter(([, value]) => value > 0);
}

function figure(model, run) {
  const x = lengths(model);
  const curves = BATCHES.map((batch, i) => ({
    type: "scatter", mode: "lines", name: `batch_${batch}`, x, y: x.map((n) => cacheBytes(model, n, batch)),
    line: { color: colour("drawn"), width: 2.4 - 0.7 * i, dash: ["solid", "dash", "dot"][i] },
  }));
  const point = measuredPoint(run);
  const marker = {
    type: "scatter", mode: "markers", name: "measured", x: point ? [point[0]] : [], y: point ? [point[1]] : [],
    marker: { color: colour("ink"), size: 9, symbol: "circle", line: { color: colour("card"), width: 2 } },
  };
  const ys = [...curves.flatMap(({ y }) => y), ...limits(model).map(([, value]) => value)].filter((value) => value > 0);
  const [bottom, top] = [Math.min(...ys) / 1.5, Math.max(...ys) * 1.6];
  const [left, right] = [SHORTEST, rightEnd(model)];
  const base = baseLayout();
  const font = { size: 11 };
  const shapes = limits(model).map(([, value, name, dash]) => ({
    type: "line", x0: left, x1: right, y0: value, y1: value, line: { color: colour(name), width: 1.2, dash },
  }));
  // What is free lies right below what there is.
  const annotations = limits(model).map(([key, value, name]) => ({
    x: Math.log10(left), y: Math.log10(value), xanchor: "left", yanchor: key === "free" ? "top" : "bottom", showarrow: false,
    text: `${say(`views.forecast.${key}`)} ${bytes(value)}`, font: { ...font, color: colour(name) },
  }));
  curves.forEach(({ y }, i) => annotations.push({
    x: Math.log10(right), y: Math.log10(Math.max(1, y.at(-1))), xanchor: "right", yanchor: "bottom", showarrow: false,
    text: say("views.forecast.batch", { n: BATCHES[i] }), font: { ...font, color: colour("drawn") },
    bgcolor: colour("card"), borderpad: 0,
  }));
  if (model.context_length) {
    shapes.push({ type: "line", x0: model.context_length, x1: model.context_length, yref: "paper", y0: 0, y1: 1, line: { color: colour("soft"), width: 1, dash: "dot" } });
    annotations.push({ x: Math.log10(model.context_length), yref: "paper", y: 0, xanchor: "right", yanchor: "bottom", showarrow: false, text: say("views.forecast.context"), font });
  }
  const log = (axis, from, to, text) => {
    const tickvals = powers(from, to);
    return { ...axis, type: "log", range: [Math.log10(from), Math.log10(to)], tickvals, ticktext: tickvals.map(text) };
  };
  return {
    data: [...curves, marker],
    layout: {
      ...base, shapes, annotations, margin: { l: 62, r: 12, t: 8, b: 22 },
      xaxis: log(base.xaxis, left, right, (n) => count(n)),
      yaxis: log(base.yaxis, bottom, top, (n) => bytes(n, true)),
    },
  };
}

function sentences(model) {
  const within = longestWithin(model, model.weight_bytes);
  const longest = model.free_bytes == null ? undefined : longestWithin(model, model.free_bytes);
  const limit = model.context_length;
  const outgrows = within === null
    ? say("views.forecast.never_outgrows")
    : say(limit && within + 1 > limit ? "views.forecast.outgrows_beyond" : "views.forecast.outgrows", { n: within + 1, limit: limit ?? 0 });
  if (longest === undefined) return [outgrows];
  if (longest === null) return [outgrows, say("views.forecast.any_length")];
  return [outgrows, say(limit && longest >= limit ? "views.forecast.fits_all" : "views.forecast.fits", { n: longest, limit: limit ?? 0 })];
}

export function forecast(root, run) {
  const [title, detail, empty] = [make("h2"), make("small"), make("p", { className: "empty" })];
  const text = make("p", { className: "reading" });
  const box = make("div", { id: "forecast-chart", tabIndex: 0 });
  root.replaceChildren(make("header", {}, title, detail), empty, text, box);
  // Until it comes into sight there is no chart, rather than one without lines.
  root.classList.add("is-empty");
  const known = () => (run.loaded?.cache_layers?.length ? run.loaded : null);
  const chart = new Chart(box, () => {
    const drawn = known() ? figure(known(), run) : { data: [], layout: baseLayout() };
    return { ...drawn, text: `${title.textContent}: ${text.textContent}` };
  });
  return (kinds) => {
    if (kinds.has("look")) {
      write(title, say("views.forecast.title"));
      write(detail, say("views.forecast.subtitle"));
    }
    write(empty, say(run.loaded ? "views.forecast.unknown" : "views.forecast.empty"));
    root.classList.toggle("is-empty", !known());
    if (!known()) return;
    if (kinds.has("head") || kinds.has("look")) write(text, sentences(known()).join(say("views.sentence.joint")));
    if (["head", "look", "run", "cursor", "steps"].some((kind) => kinds.has(kind))) chart.drawSoon();
  };
}
