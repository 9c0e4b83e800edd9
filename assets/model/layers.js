// The cache layer by layer: one column for each decoder layer, as wide as its heads, as high as
// the positions it stores. What a layer is can be seen from its shape.

import { draw, make, write } from "../base/make.js";
import { bytes, count, say, share } from "../base/words.js";

const HEIGHT = 130;
const BASE = 14;
const WIDEST = 44;
const GAP = 3;
const STATE_HEIGHT = 0.42;
const STATES = ["linear", "state_space", "convolution"];

/** The decoder layers: what the config says of each, or where that is not known, the entries. */
function layout(model, held) {
  if (model?.cache_layers?.length) return model.cache_layers;
  return held.map((_, entry) => ({ kind: "unknown", entry, kv_heads: null, max_positions: null }));
}

/** [positions, bytes] of each entry of the cache after a step. */
function entries(step) {
  return (step.L ?? []).flatMap(([n, positions, size]) => Array.from({ length: n }, () => [positions, size]));
}

const own = (layer, held) => (layer.entry === null ? null : (held[layer.entry] ?? null));

/** Positions that fill a column: where the run may come to, then where it came to. */
function fullHeight(run) {
  const last = run.steps.at(-1)?.kv?.[0] ?? 1;
  const most = run.prompt.length + (run.config.max_new_tokens ?? 0);
  return Math.max(1, run.isRunning ? Math.max(last, most) : last);
}

const isState = (layer) => STATES.includes(layer.kind);

/** Stripes of one column, [x, width]: the KV heads in the room that all heads would take. */
function stripes(layer, width, heads) {
  if (layer.kind === "latent") return [[0.4 * width, 0.2 * width]];
  const kept = layer.kv_heads;
  if (!kept || !heads || kept > heads) return [[0, width]];
  const slot = width / heads;
  if (slot < 2.5) return [[0, Math.max(1.5, kept * slot)]];
  return Array.from({ length: kept }, (_, i) => [(i * width) / kept, slot - 0.7]);
}

function hatched() {
  const line = draw("path", { d: "M0 6L6 0", class: "hatch" });
  return draw("defs", {}, draw("pattern", { id: "shared-layer", width: 6, height: 6, patternUnits: "userSpaceOnUse" }, line));
}

/** The drawing of one layer; `fill(share)` sets how much of its height is held. */
function column(layer, index, x, width, heads) {
  const group = draw("g", { class: `layer ${layer.kind}`, transform: `translate(${x} 0)`, "data-layer": index });
  group.append(draw("rect", { class: "room", x: 0, y: 0, width, height: HEIGHT }));
  let held = null;
  if (layer.kind === "shared") {
    group.append(draw("rect", { x: 0, y: 0, width, height: HEIGHT, fill: "url(#shared-layer)" }));
  } else if (isState(layer)) {
    const y = HEIGHT * (1 - STATE_HEIGHT);
    group.append(draw("rect", { class: "state", x: 0, y, width, height: HEIGHT - y }));
    if (layer.kind === "convolution") group.append(draw("path", { class: "wave", d: `M0 ${y + 8}L${width} ${y + 8}` }));
  } else if (layer.kind !== "none") {
    const inner = layer.kind === "hybrid" ? 0.6 * width : width;
    held = draw("g", { class: "held" });
    for (const [left, wide] of stripes(layer, inner, heads)) {
      held.append(draw("rect", { x: left, y: 0, width: wide, height: HEIGHT }));
    }
    group.append(held);
    if (layer.kind === "hybrid") {
      const y = HEIGHT * (1 - STATE_HEIGHT);
      group.append(draw("rect", { class: "state", x: inner + 1, y, width: width - inner - 1, height: HEIGHT - y }));
    }
  }
  const fill = (part) => held?.setAttribute("transform", `translate(0 ${HEIGHT * (1 - part)}) scale(1 ${part})`);
  return { group, fill };
}

function sourceLines(shown, width) {
  const middle = (i) => i * (width + GAP) + width / 2;
  return shown.flatMap((layer, i) =>
    layer.kind === "shared" && layer.source != null
      ? [draw("path", { class: "source", d: `M${middle(i)} ${HEIGHT}Q${(middle(i) + middle(layer.source)) / 2} ${HEIGHT + 2 * BASE} ${middle(layer.source)} ${HEIGHT}` })]
      : [],
  );
}

function picture(svg, shown, heads) {
  const width = Math.max(4, Math.min(WIDEST, (720 - GAP * shown.length) / Math.max(1, shown.length)));
  const columns = shown.map((layer, i) => column(layer, i, i * (width + GAP), width, heads));
  const whole = Math.max(1, shown.length * (width + GAP) - GAP);
  svg.setAttribute("viewBox", `-1 -1 ${whole + 2} ${HEIGHT + BASE + 2}`);
  svg.setAttribute("width", whole + 2);
  svg.replaceChildren(hatched(), ...columns.map(({ group }) => group), ...sourceLines(shown, width));
  return columns;
}

function inWords(layer, index, held, positions) {
  const parts = [say("views.layers.layer", { number: index + 1 }), say(`views.layers.kind_${layer.kind}`)];
  if (layer.kind === "shared" && layer.source != null) parts.push(say("views.layers.reads", { number: layer.source + 1 }));
  if (layer.kind === "latent") parts.push(say("views.layers.compressed", { n: layer.key_size + layer.value_size }));
  else if (layer.kv_heads) parts.push(say("views.layers.heads", { n: layer.kv_heads, size: layer.key_size }));
  const stored = own(layer, held);
  if (stored?.[0] != null) {
    const key = stored[0] > positions ? "views.layers.room" : "views.layers.stored";
    parts.push(say(key, { n: stored[0], all: positions }));
  }
  if (stored) parts.push(bytes(stored[1]));
  return parts.join(say("views.layers.joint"));
}

/** Runs of layers that are alike, in words: what a screen reader is told. */
function summaryInWords(shown, held, positions) {
  const lines = [];
  shown.forEach((layer, i) => {
    const text = inWords(layer, i, held, positions).split(say("views.layers.joint")).slice(1).join(say("views.layers.joint"));
    const last = lines.at(-1);
    if (last?.text === text) last.to = i + 1;
    else lines.push({ from: i + 1, to: i + 1, text });
  });
  return lines.map(({ from, to, text }) => `${from === to ? from : `${from}–${to}`}: ${text}`).join("; ");
}

function measured(step) {
  const [positions, size] = step.kv;
  return say("views.layers.measured", { positions: count(positions), held: bytes(size) });
}

function formula(model, step) {
  const { kv } = model;
  if (!kv) return say(`views.layers.note_${model.kv_note ?? "unknown"}`);
  const [positions, size] = step.kv;
  const comes = positions * kv.bytes_per_token;
  const product = say("views.layers.formula", {
    layers: kv.layers, heads: kv.kv_heads, size: kv.head_dim, positions: count(positions), each: kv.value_bytes, comes: bytes(comes),
  });
  const verdict = comes === size ? say("views.layers.equal") : say("views.layers.differs", { share: share(size / comes) });
  return `${product} · ${verdict}`;
}

function allocator(model, step) {
  if (!step.m) return "";
  const [used, reserved] = step.m;
  return say(`views.layers.memory_${model.memory_kind}`, { used: bytes(used), reserved: reserved == null ? "–" : bytes(reserved) });
}

function legend(shown) {
  const kinds = new Map();
  for (const { kind } of shown) kinds.set(kind, (kinds.get(kind) ?? 0) + 1);
  return [...kinds].map(([kind, n]) =>
    make("span", {}, make("i", { className: `swatch layer-${kind}` }), `${count(n)} × ${say(`views.layers.kind_${kind}`)}`),
  );
}

export function layers(root, run) {
  const [title, detail, empty] = [make("h2"), make("small"), make("p", { className: "empty" })];
  const [total, computed, held] = [make("b", { className: "ink-drawn" }), make("span"), make("span")];
  const reading = make("p", { className: "reading" }, total, make("br"), computed, make("br"), held);
  const svg = draw("svg", { "aria-hidden": "true" });
  const box = make("div", { id: "layers-chart", tabIndex: 0 }, make("div", { className: "layers-scroll" }, svg));
  const [pointed, key] = [make("p", { className: "reading one-line pointed" }), make("p", { className: "key" })];
  root.replaceChildren(make("header", {}, title, detail), empty, reading, box, pointed, key);
  let columns = [];
  let shown = [];
  let drawnFor = null;
  let hovered = null;

  const point = () => {
    const step = run.steps[run.cursor];
    const layer = shown[hovered];
    write(pointed, step && layer ? inWords(layer, hovered, entries(step), step.kv?.[0] ?? 0) : say("views.layers.hint"));
  };
  svg.addEventListener("pointermove", (event) => {
    const found = event.target.closest?.("[data-layer]");
    hovered = found ? Number(found.dataset.layer) : null;
    point();
  });
  svg.addEventListener("pointerleave", () => {
    hovered = null;
    point();
  });

  return (kinds) => {
    if (!["look", "steps", "cursor", "head", "run", "state"].some((kind) => kinds.has(kind))) return;
    const step = run.steps[run.cursor];
    if (kinds.has("look")) {
      write(title, say("views.layers.title"));
      write(detail, say("views.layers.subtitle"));
    }
    write(empty, say(`views.layers.${step?.ph === "score" ? "scored" : step && !step.kv ? "none" : "empty"}`));
    root.classList.toggle("is-empty", !step?.kv);
    if (!step?.kv) return;
    const stored = entries(step);
    if (drawnFor !== run.model || columns.length === 0 || kinds.has("look")) {
      drawnFor = run.model;
      shown = layout(run.model, stored);
      columns = picture(svg, shown, run.model?.attention_heads);
      key.replaceChildren(...legend(shown));
    }
    const full = fullHeight(run);
    columns.forEach(({ fill }, i) => fill(Math.min(1, (own(shown[i], stored)?.[0] ?? 0) / full)));
    write(total, measured(step));
    write(computed, formula(run.model, step));
    write(held, allocator(run.model, step));
    if (!run.isRunning || !box.hasAttribute("role")) {
      box.setAttribute("role", "img");
      box.setAttribute("aria-label", summaryInWords(shown, stored, step.kv[0]));
    }
    point();
  };
}
