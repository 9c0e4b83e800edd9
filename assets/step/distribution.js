// The distribution of one inference: what the model believed, and what was drawn from.

import { label, visible } from "../base/glyphs.js";
import { make, write } from "../base/make.js";
import { baseLayout, Chart, colour, ticks } from "../base/plot.js";
import { fixed, percent, say } from "../base/words.js";
import { configAt } from "../run/config.js";
import { cutters } from "../text/sentence.js";

const FEW = 12;
const NUMBERS_WIDTH = 96;
const MARGIN = { l: 128, r: 12, t: 2, b: 22 };

// The step with what other settings would make of it, where such are tried on it.
function shownStep(run, inspection) {
  const step = run.steps[run.cursor];
  const preview = step && inspection.previewOf(step.i);
  if (!preview) return step;
  const listed = preview.candidates.reduce((sum, [, , p]) => sum + p, 0);
  return { ...step, c: preview.candidates, tail: Math.max(0, 1 - listed), kept: preview.kept, next: preview.chosen?.[0] };
}

function shares(step, limit) {
  const named = step.c.filter(([id]) => id === step.id || id === step.next);
  const left = Math.min(limit, step.c.length) - named.filter((one) => step.c.indexOf(one) >= limit).length;
  const rows = step.c.filter((candidate, i) => i < left || named.includes(candidate));
  const shown = rows.reduce((sum, [, , p]) => sum + p, 0);
  // The tail as measured, plus the candidates that found no row.
  return { rows, others: Math.max(0, rows.length < step.c.length ? 1 - shown : step.tail) };
}

function points(p) {
  if (p > 0 && p < 0.0005) return "< 0.1";
  return p < 1 && p >= 0.9995 ? "> 99.9" : fixed(100 * p, 1);
}

function note(candidate) {
  const [, , p, q] = candidate;
  return q > 0 ? `${points(p)} → <b>${points(q)}</b>` : `${points(p)} ${say("views.distribution.cut")}`;
}

// A dot for the token that was taken, a diamond for the one that would be.
const sign = (step, id) => (id === step.id ? "●" : "") + (id === step.next ? "◆" : "");

function detailOf(run, step) {
  if (step.next !== undefined) return say("views.inspector.preview_detail", { number: step.i + 1, n: step.kept });
  const entropy = fixed(step.H, 2);
  if (step.ph === "score") return say("views.distribution.detail_scored", { number: step.i + 1, entropy });
  return say("views.distribution.detail", {
    number: step.i + 1,
    entropy,
    n: step.kept,
    left: step.kept === run.model?.vocab_size
      ? say("views.distribution.nothing_cut")
      : say("views.distribution.left_by", { n: step.kept, cutters: cutters(configAt(run, step.i)) }),
  });
}

function figureOf(step, limit, width) {
  const base = baseLayout();
  const { rows, others } = shares(step, limit);
  const n = rows.length;
  const y = rows.map((_, i) => i);
  const own = rows.map(([, , p]) => p);
  const drawn = rows.map(([, , , q]) => q);
  const ends = rows.map(([, , p, q]) => Math.max(p, q));
  const top = Math.max(others, ...ends, 0.01);
  // Room for the numbers behind the longest bar, whatever the width.
  const range = top * Math.max(1.1, width / Math.max(60, width - NUMBERS_WIDTH));
  const marks = ticks(Math.min(1, range), 4);
  const data = [
    {
      type: "bar",
      orientation: "h",
      name: "probability",
      y: [...y, n],
      x: [...own, others],
      width: 0.8,
      marker: { color: [...rows.map(([, , , q]) => colour(q > 0 ? "model" : "cut")), colour("cut")] },
    },
    {
      type: "bar",
      orientation: "h",
      name: "sampling_probability",
      y,
      x: drawn,
      width: 0.36,
      marker: { color: colour("drawn") },
    },
    {
      type: "scatter",
      mode: "text",
      name: "numbers",
      y: [...y, n],
      x: [...ends, others],
      text: [...rows.map((candidate) => ` ${note(candidate)}`), ` ${points(others)}`],
      textposition: "middle right",
      textfont: { size: 11.5, color: [...rows.map(([, , , q]) => colour(q > 0 ? "ink" : "soft")), colour("soft")] },
      cliponaxis: false,
    },
  ];
  const name = ([id, text]) =>
    sign(step, id) ? `<b>${sign(step, id)} ${label(text, 13)}</b>` : label(text, 15);
  return {
    data,
    layout: {
      ...base,
      margin: MARGIN,
      barmode: "overlay",
      xaxis: {
        ...base.xaxis,
        range: [0, range],
        tickvals: marks,
        ticktext: marks.map((mark) => `${fixed(100 * mark, marks[1] < 0.01 ? 1 : 0)} %`),
        showgrid: true,
        gridcolor: colour("line"),
      },
      yaxis: {
        ...base.yaxis,
        showgrid: false,
        range: [n + 0.6, -0.6],
        tickvals: [...y, n],
        ticktext: [...rows.map(name), say("views.distribution.others")],
        tickfont: { family: "ui-monospace, monospace", size: n > FEW ? 11 : 12.5, color: colour("ink") },
      },
    },
    text: [
      say("views.distribution.title"),
      ...rows.map(([id, text, p, q]) =>
        `${sign(step, id)} ${visible(text)} ${percent(p)} → ${q > 0 ? percent(q) : say("views.distribution.cut")}`.trim(),
      ),
      `${say("views.distribution.others")} ${percent(others)}`,
    ].join("; "),
  };
}

export function distribution(root, run, inspection) {
  const [name, detail] = [make("h2"), make("p", { className: "reading one-line" })];
  const toggle = make("button", { type: "button", className: "quiet" });
  const empty = make("p", { className: "empty" });
  const box = make("div", { id: "probability-chart", tabIndex: 0 });
  const [own, drawn] = [make("span"), make("span")];
  const key = make(
    "p",
    { className: "key" },
    make("i", { className: "swatch wide" }), own,
    make("i", { className: "swatch narrow" }), drawn,
  );
  root.replaceChildren(
    make("header", {}, name, toggle), detail, empty, box, key,
  );
  let limit = FEW;
  let shown = null;
  // The words are those of the bars: they change when these are drawn, not before.
  const chart = new Chart(box, () => {
    const step = shownStep(run, inspection);
    if (!step) return { data: [], layout: baseLayout(), text: "" };
    tell(step);
    return figureOf(step, limit, chart.size.width - MARGIN.l - MARGIN.r);
  });

  function tell(step) {
    // Greedy decoding draws nothing: it takes the largest of what the settings left.
    const drawnFrom = `views.distribution.${configAt(run, step.i).do_sample ? "drawn" : "settled"}`;
    write(drawn, say(step.next === undefined ? drawnFrom : "views.inspector.preview"));
    write(detail, detailOf(run, step));
    toggle.hidden = step.c.length <= FEW;
    root.classList.toggle("is-preview-chart", step.next !== undefined);
  }

  toggle.addEventListener("click", () => {
    limit = limit === FEW ? Infinity : FEW;
    toggle.setAttribute("aria-pressed", String(limit !== FEW));
    chart.draw();
  });
  toggle.setAttribute("aria-pressed", "false");

  return (kinds) => {
    const step = shownStep(run, inspection);
    if (kinds.has("look")) {
      name.textContent = say("views.distribution.title");
      empty.textContent = say("views.distribution.empty");
      own.textContent = say("views.distribution.own");
      toggle.textContent = say("views.distribution.all");
    }
    root.classList.toggle("is-empty", !step);
    if (!step) {
      shown = null;
      toggle.hidden = true;
      return write(detail, "");
    }
    if (!["look", "cursor", "steps", "run", "inspection"].some((kind) => kinds.has(kind))) return;
    // A token that is pointed at and then chosen is drawn already.
    const source = inspection.previewOf(step.i) ?? run.steps[run.cursor];
    if (source === shown && !kinds.has("look")) return;
    shown = source;
    if (run.follows && run.isRunning && !kinds.has("look")) chart.drawSoon();
    // The inspector of a step that is chosen comes first: the chart takes longer than it.
    else if (run.hovered === null && kinds.has("cursor")) requestAnimationFrame(() => chart.draw());
    else chart.draw();
  };
}
