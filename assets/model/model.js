// What is loaded: the facts of the model, and which of its layers lie on which device. Below
// them the catalogue: what there is to load, what it takes and what it is good for.

import { make } from "../base/make.js";
import { bytes, count, currentLanguage, say } from "../base/words.js";

const catalogue = JSON.parse(document.getElementById("decoding-live-catalogue")?.textContent ?? "[]");
const FORMATS = ["float32", "bfloat16", "8bit", "4bit"];

/** [0, 1, 2, 5] as "1–3, 6": layers are counted from 1. */
function ranges(layers) {
  const found = [];
  for (const layer of layers) {
    const last = found.at(-1);
    if (last && last[1] === layer) last[1] = layer + 1;
    else found.push([layer + 1, layer + 1]);
  }
  return found.map(([from, to]) => (from === to ? `${from}` : `${from}–${to}`)).join(", ");
}

function facts(model) {
  const known = (value, text = count) => (value == null ? "–" : text(value));
  return [
    ["name", model.name],
    ["architecture", model.architecture || "–"],
    ["parameters", known(model.parameters)],
    ["layers", known(model.layers)],
    ["heads", model.attention_heads == null ? "–" : headsInWords(model)],
    ["hidden_size", known(model.hidden_size)],
    ["vocabulary", known(model.vocab_size)],
    ["context", known(model.context_length)],
    ["dtype", model.dtype],
    ["quantization", packingInWords(model)],
    ["weights", bytes(model.weight_bytes)],
    ...model.placement.map((part) => ["device", placeInWords(part), part.device]),
  ];
}

function packingInWords(model) {
  const unpacked = model.published
    ? say("views.model.unpacked", { format: model.published, dtype: model.dtype })
    : say("views.model.unquantized");
  return model.quantization ?? unpacked;
}

function headsInWords(model) {
  const kept = [...new Set(model.cache_layers.map((layer) => layer.kv_heads).filter(Boolean))];
  if (kept.length === 0) return count(model.attention_heads);
  return say("views.model.heads_kv", { n: count(model.attention_heads), kv: kept.map(count).join(", ") });
}

const placeInWords = ({ layers, weight_bytes: size }) =>
  layers.length ? say("views.model.place", { layers: ranges(layers), size: bytes(size) }) : bytes(size);

function tableOfModels() {
  const columns = ["name", "parameters", "licence", ...FORMATS, "good_for"];
  const heads = columns.map((name) => make("th", { scope: "col" }, say(`views.model.catalogue_${name}`)));
  const rows = catalogue.map((entry) => {
    const licence = entry.gated ? say("views.model.gated", { licence: entry.licence }) : entry.licence;
    const cells = [count(entry.parameters), licence, ...FORMATS.map((name) => bytes(entry.bytes[name])), entry.good_for[currentLanguage()]];
    return make("tr", {}, make("th", { scope: "row" }, entry.id || entry.name), ...cells.map((text) => make("td", {}, text)));
  });
  return make("table", {}, make("thead", {}, make("tr", {}, ...heads)), make("tbody", {}, ...rows));
}

export function modelFacts(root, run) {
  const list = make("dl", { className: "facts" });
  const [offer, access] = [make("summary"), make("p", { className: "empty" })];
  const table = make("div", { className: "catalogue" });
  root.replaceChildren(list, make("details", {}, offer, access, table));
  return (kinds) => {
    if (kinds.has("look")) {
      offer.textContent = say("views.model.catalogue");
      access.textContent = say("views.model.access");
      table.replaceChildren(tableOfModels());
    }
    if (!kinds.has("head") && !kinds.has("look")) return;
    const model = run.loaded;
    list.replaceChildren(
      ...(model ? facts(model) : []).map(([key, value, device]) =>
        make("div", {}, make("dt", {}, device ? say("views.model.device", { device }) : say(`views.model.${key}`)), make("dd", {}, value)),
      ),
    );
  };
}
