// The three charts along the text: confidence, KV cache and time. They share the cursor.

import { aboveToo, breakMarks, brokenInWords, heightAxes, heights } from "../base/broken.js";
import { make } from "../base/make.js";
import { baseLayout, Chart, colour, ticks } from "../base/plot.js";
import { bytes, count, duration, fixed, percent, say, share } from "../base/words.js";
import { surprisal } from "../run/step.js";

const MARGIN = { l: 46, r: 34, t: 6, b: 20 };
const MIN_WIDTH_STEPS = 24;

/** x of the steps drawn: inferences are counted from 1, as in the strip. */
function xRange(run) {
  const n = run.steps.length;
  // Room ahead while it runs, so that the axis does not move with each token.
  const last = run.isRunning ? Math.max(MIN_WIDTH_STEPS, Math.ceil((n * 1.15) / 20) * 20) : Math.max(2, n);
  return [0.5, last + 0.5];
}

const cursorShapes = (run) =>
  run.cursor < 0 || (run.follows && run.isRunning)
    ? []
    : [
        {
          type: "line",
          x0: run.cursor + 1,
          x1: run.cursor + 1,
          yref: "paper",
          y0: 0,
          y1: 1,
          line: { color: colour("accent"), width: 1.5 },
        },
      ];

function axes(run, yTop, yTicks, yText) {
  const base = baseLayout();
  return {
    ...base,
    margin: MARGIN,
    shapes: cursorShapes(run),
    xaxis: { ...base.xaxis, range: xRange(run), nticks: 6, tickformat: "d" },
    yaxis: { ...base.yaxis, range: [0, yTop], tickvals: yTicks, ticktext: yTicks.map(yText) },
  };
}

// Numbers of the run as Plotly wants them; each chart appends what is new and keeps its arrays.
class Columns {
  constructor(run, readers) {
    this.run = run;
    this.readers = readers;
    this.clear();
  }

  clear() {
    this.x = [];
    this.columns = this.readers.map(() => []);
  }

  /** Forgets the steps from `index` on. */
  cut(index) {
    for (const column of [this.x, ...this.columns]) column.splice(index);
  }

  update() {
    for (let i = this.x.length; i < this.run.steps.length; i += 1) {
      this.x.push(i + 1);
      this.readers.forEach((read, c) => this.columns[c].push(read(this.run.steps[i], this.run)));
    }
    return this.columns;
  }
}

// A step for each inference while steps can be told apart; Plotly thins out only straight lines.
const MOST_STEPS = 400;
const steps = (n) => ({
  line: { shape: n > MOST_STEPS ? "linear" : "hvh", width: 1 },
  mode: "lines",
  type: "scatter",
});

function confidenceFigure(columns, run) {
  const [probability, entropy, surprise] = columns.update();
  const top = Math.max(4, ...entropy, ...surprise.filter(Number.isFinite));
  const layout = axes(run, 1, [0, 0.5, 1], (value) => `${100 * value} %`);
  // Many inferences on few pixels: thinner lines keep the ones below them visible.
  const thin = probability.length > 200 ? 0.45 : 1;
  const line = (width, name) => ({ color: colour(name), width: thin * width });
  return {
    data: [
      {
        ...steps(columns.x.length), name: "probability", x: columns.x, y: probability,
        line: { ...steps(columns.x.length).line, color: colour("drawn"), width: 0.5 },
        fill: "tozeroy", fillcolor: colour("model"),
      },
      {
        type: "scatter", mode: "lines", name: "surprisal_bits", yaxis: "y2",
        x: columns.x, y: surprise, line: { ...line(1.2, "doubt-line"), dash: "dot" },
      },
      {
        type: "scatter", mode: "lines", name: "entropy_bits", yaxis: "y2",
        x: columns.x, y: entropy, line: line(1.7, "entropy"),
      },
    ],
    layout: {
      ...layout,
      yaxis2: {
        ...layout.yaxis, overlaying: "y", side: "right", showgrid: false, color: colour("entropy"),
        range: [0, top * 1.05], tickvals: ticks(top, 3), ticktext: ticks(top, 3).map((value) => count(value)),
      },
    },
  };
}

function cacheFigure(columns, run) {
  const [prompt, fresh] = columns.update();
  const top = Math.max(1, (prompt.at(-1) ?? 0) + (fresh.at(-1) ?? 0)) * 1.12;
  const area = { type: "scatter", mode: "lines", stackgroup: "cache", x: columns.x };
  return {
    data: [
      { ...area, name: "prompt_bytes", y: prompt, line: { width: 0 }, fillcolor: colour("model") },
      { ...area, name: "new_bytes", y: fresh, line: { width: 1.5, color: colour("drawn") }, fillcolor: colour("drawn") },
    ],
    layout: { ...axes(run, top, ticks(top, 3), (value) => bytes(value, true)), margin: { ...MARGIN, l: 62 } },
  };
}

const inMilliseconds = (value) => (value < 1000 ? `${count(Number(value.toPrecision(3)))} ms` : duration(value / 1000));

function latencyFigure(columns, run) {
  const [all] = columns.update();
  // The prefill and few slow inferences must not flatten the rest.
  const parts = heights(all, all.length > 1 ? all.slice(1) : all);
  // A branch that left at the first token read no prompt.
  const first = run.steps[0]?.ph === "prefill" ? all.slice(0, 1) : [];
  const layout = axes(run, 1, [], String);
  return {
    data: aboveToo([
      {
        ...steps(all.length), name: "milliseconds", x: columns.x, y: all,
        line: { ...steps(all.length).line, color: colour("drawn") }, fill: "tozeroy", fillcolor: colour("model"),
      },
      {
        ...steps(1), name: "prefill_milliseconds", x: first.length ? [0.5, 1.5] : [], y: [...first, ...first],
        line: { color: colour("entropy"), width: 1 }, fill: "tozeroy", fillcolor: colour("entropy"),
      },
    ], parts, 2),
    layout: {
      ...layout, ...heightAxes(parts, layout.yaxis, inMilliseconds, 2),
      annotations: breakMarks(parts), margin: { ...MARGIN, l: 56 },
    },
    remark: parts.length > 1 ? brokenInWords() : "",
  };
}

const coloured = (name, text) => make("b", { className: `ink-${name}` }, text);

function confidenceReading(step, run) {
  return [
    coloured("drawn", say("views.confidence.probability", { value: percent(step.p) })), " · ",
    coloured("entropy", say("views.confidence.entropy", { value: fixed(step.H, 2) })), " · ",
    coloured("doubt-line", say("views.confidence.surprisal", { value: fixed(surprisal(step), 2) })),
  ];
}

function cacheReading(step, run) {
  if (!step.kv) return [say(step.ph === "score" ? "views.score.no_cache" : "views.cache.none")];
  const [positions, held] = step.kv;
  const { kv, weight_bytes: weights } = run.model ?? {};
  // Where a window slides or a state stands for all positions, no position has a size.
  const parts = [
    coloured("drawn", say(isPlain(run) ? "views.cache.measured" : "views.cache.measured_whole", {
      positions, each: bytes(held / Math.max(1, positions)), held: bytes(held),
    })),
  ];
  if (kv?.layers) {
    parts.push(" · ", say("views.cache.formula", {
      product: `2·${kv.layers}·${kv.kv_heads}·${kv.head_dim}·${kv.value_bytes} B`,
      each: bytes(kv.bytes_per_token),
    }));
  }
  if (weights) parts.push(" · ", say("views.cache.share", { share: share(held / weights), weights: bytes(weights) }));
  return parts;
}

function latencyReading(step, run) {
  if (run.branches[0].steps[0]?.ph === "score") return [coloured("drawn", timeBehindText(step))];
  const prefill = run.branches[0].steps[0] ?? run.steps[0];
  const parts = [coloured("drawn", say("views.latency.this", { time: duration(step.s) })), " · ",
    coloured("entropy", say("views.latency.prefill", { time: duration(prefill.s), n: prefill.in }))];
  if (run.steps.length > 1) parts.push(", ", say("views.latency.mean", { time: duration(meanSeconds(run)) }));
  return parts;
}

// What was given and measured had no prefill of its own, and an average with it would say little.
const timeBehindText = (step) =>
  step.ph === "score"
    ? say("views.score.time", { time: duration(step.s), n: step.in })
    : say("views.latency.this", { time: duration(step.s) });

// Summed as the steps come: reading all of them at each frame would grow with the text.
const sums = new WeakMap();
function meanSeconds(run) {
  const sum = sums.get(run) ?? { of: "", n: 0, seconds: 0 };
  sums.set(run, sum);
  const of = `${run.id} ${run.branch}`;
  if (sum.of !== of || sum.n > run.steps.length) Object.assign(sum, { of, n: 1, seconds: 0 });
  for (; sum.n < run.steps.length; sum.n += 1) sum.seconds += run.steps[sum.n].s;
  return sum.seconds / Math.max(1, sum.n - 1);
}

/** A panel; where `isDrawn` says that there is nothing to draw only its words are seen. */
function alongTheText(name, id, readers, figure, reading, isDrawn = () => true) {
  return (root, run) => {
    const columns = new Columns(run, readers);
    const [title, detail, empty] = [make("h2"), make("p", { className: "reading" }), make("p", { className: "empty" })];
    const box = make("div", { id, tabIndex: 0 });
    root.replaceChildren(make("header", {}, title), detail, empty, box);
    const tell = () => {
      const step = run.steps[run.cursor];
      if (step) detail.replaceChildren(...reading(step, run));
    };
    const chart = new Chart(box, () => {
      const drawn = figure(columns, run);
      tell();
      drawn.layout.datarevision = `${run.id} ${run.branch} ${columns.x.length}`;
      drawn.text = [`${title.textContent}: ${detail.textContent}`, drawn.remark].filter(Boolean).join("; ");
      return drawn;
    });
    const stepAt = (event) => {
      const layout = chart.plot.layout;
      if (!layout || run.steps.length === 0) return null;
      const box = chart.plot.getBoundingClientRect();
      const { l, r } = layout.margin;
      const [from, to] = layout.xaxis.range;
      const x = from + ((event.clientX - box.left - l) / (box.width - l - r)) * (to - from);
      return Math.min(run.steps.length, Math.max(1, Math.round(x))) - 1;
    };
    box.addEventListener("pointermove", (event) => {
      if (event.pointerType !== "touch") run.hover(stepAt(event));
    });
    box.addEventListener("pointerleave", () => run.hover(null));
    box.addEventListener("click", (event) => {
      const index = stepAt(event);
      if (index !== null) run.pin(index === run.pinned ? null : index);
    });
    return (kinds) => {
      const step = run.steps[run.cursor];
      if (kinds.has("run")) columns.clear();
      else if (kinds.has("branch")) columns.cut(run.partedAt);
      if (kinds.has("look")) {
        title.textContent = say(`views.${name}.title`);
        empty.textContent = say(`views.${name}.empty`);
      }
      root.classList.toggle("is-empty", !step);
      box.style.visibility = isDrawn(run) ? "" : "hidden";
      const hasNews = ["run", "steps", "look", "state"].some((kind) => kinds.has(kind));
      // The newest inference is told of when it is drawn, not before.
      if (!run.follows || (!hasNews && !run.isRunning)) tell();
      if (hasNews && step) chart.drawSoon();
      if (kinds.has("cursor") && !(run.follows && run.isRunning && chart.shapes.length === 0)) chart.moveShapes(cursorShapes(run));
    };
  };
}

/** Whether each position has a size of its own: plain keys and values in a cache that grows. */
const isPlain = (run) => Boolean(run.model?.kv) && ["dynamic", undefined, null].includes(run.config.cache_implementation);

// The first inference left the prompt alone in the cache; only plain keys and values stay apart.
function promptBytes(step, run) {
  if (!step.kv) return null;
  return isPlain(run) ? (run.steps[0].kv?.[1] ?? 0) : 0;
}

export const confidence = alongTheText(
  "confidence", "confidence-chart",
  [(step) => step.p, (step) => step.H, surprisal], confidenceFigure, confidenceReading,
);
export const cache = alongTheText(
  "cache", "kv-cache-chart",
  [promptBytes, (step, run) => (step.kv ? step.kv[1] - promptBytes(step, run) : null)], cacheFigure, cacheReading,
  (run) => run.steps.length === 0 || Boolean(run.steps.at(-1).kv),
);
export const latency = alongTheText(
  "latency", "latency-chart",
  [(step) => 1000 * step.s], latencyFigure, latencyReading,
);
