// Plotly charts drawn in place, one at a time and never more often than the page can afford.

import { make } from "./make.js";

const MIN_PAUSE_MS = 70;
const MIN_INTERVAL_MS = 280;

const waiting = [];
let timer = 0;
let colours = null;

/** The page's CSS colours by name; read once for each theme. */
export function colour(name) {
  if (!colours) colours = getComputedStyle(document.documentElement);
  return colours.getPropertyValue(`--${name}`).trim();
}

export function forgetColours() {
  colours = null;
}

function pump(pause) {
  if (timer || waiting.length === 0) return;
  timer = setTimeout(() => {
    // A hidden page gets no animation frames, so its charts rest until it is seen again.
    requestAnimationFrame(() => {
      timer = 0;
      const began = performance.now();
      const next = waiting.findIndex((chart) => began - chart.drawnAt >= MIN_INTERVAL_MS);
      if (next >= 0) waiting.splice(next, 1)[0].draw();
      pump(Math.max(MIN_PAUSE_MS, 2 * (performance.now() - began)));
    });
  }, pause);
}

export class Chart {
  /**
   * @param {HTMLElement} box the element with the chart's fixed id
   * @param {() => {data, layout, text}} figure what to draw; `text` says it to a screen reader
   */
  constructor(box, figure) {
    this.box = box;
    this.figure = figure;
    this.drawnAt = -Infinity;
    this.size = null;
    this.shapes = [];
    this.plot = make("div", { className: "plot" });
    box.replaceChildren(this.plot);
    new ResizeObserver(([entry]) => {
      const { width, height } = entry.contentRect;
      if (!width || !height) return;
      this.size = { width: Math.round(width), height: Math.round(height) };
      this.drawSoon();
    }).observe(box);
  }

  /** For what the eye follows: in this animation frame. */
  draw() {
    const place = waiting.indexOf(this);
    if (place >= 0) waiting.splice(place, 1);
    if (!this.size) return;
    const { data, layout, text } = this.figure();
    this.drawnAt = performance.now();
    this.shapes = layout.shapes ?? [];
    Plotly.react(
      this.plot,
      data,
      { ...layout, ...this.size, autosize: false },
      { staticPlot: true, displayModeBar: false },
    );
    // Before, there is no picture that could have a name.
    this.box.setAttribute("role", "img");
    this.box.setAttribute("aria-label", text);
  }

  /** For what grows with the run: when its turn comes. */
  drawSoon() {
    if (!waiting.includes(this)) waiting.push(this);
    pump(0);
  }

  moveShapes(shapes) {
    if (!this.plot.layout) return;
    this.shapes = shapes;
    Plotly.relayout(this.plot, { shapes });
  }
}

export function baseLayout() {
  const axis = { color: colour("soft"), zeroline: false, fixedrange: true, showgrid: false };
  return {
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    font: { family: getComputedStyle(document.body).fontFamily, size: 12, color: colour("soft") },
    showlegend: false,
    hovermode: false,
    xaxis: { ...axis },
    yaxis: { ...axis, showgrid: true, gridcolor: colour("line") },
  };
}

/** At most `most` + 1 round values from 0 up to `top`. */
export function ticks(top, most) {
  if (!(top > 0)) return [0];
  const rough = top / most;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * [1, 2, 5, 10].find((factor) => factor * power >= rough * 0.999);
  return Array.from({ length: Math.floor(top / step + 1e-9) + 1 }, (_, i) => i * step);
}
