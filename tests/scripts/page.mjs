// As much of a page as the scripts look for when they are loaded; imported before them.

const texts = {
  en: {
    plain: "words",
    tokens: "{n} tokens of {name}",
    tokens_one: "one token of {name}",
    only: "{missing} stays",
    views: {
      signs: { space_one: "space", line_break: "{n} line breaks", tab_one: "tab" },
    },
  },
  "zh-TW": { plain: "字" },
};

const element = { textContent: JSON.stringify(texts) };
const kept = new Map();
const frames = [];

const globals = {
  document: { getElementById: (id) => (id === "decoding-live-texts" ? element : null) },
  navigator: { languages: ["en-GB", "zh-TW"] },
  localStorage: { getItem: (key) => kept.get(key) ?? null, setItem: (key, value) => kept.set(key, value) },
  requestAnimationFrame: (draw) => frames.push(draw),
};
for (const [name, value] of Object.entries(globals)) {
  Object.defineProperty(globalThis, name, { value, configurable: true });
}

/** Draws what waits for the next animation frame. */
export function nextFrame() {
  for (const draw of frames.splice(0)) draw();
}
