// The page's frame: header, theme, language, keys, and the places where the views are mounted.

import { address, fill } from "./run/address.js";
import { cache, confidence, latency } from "./charts/along.js";
import { branches } from "./wheel/branches.js";
import { caching } from "./jobs/caching.js";
import { calibration } from "./jobs/calibration.js";
import { distribution } from "./step/distribution.js";
import { forecast } from "./model/forecast.js";
import { inspector } from "./step/inspector.js";
import { layers } from "./model/layers.js";
import { make, write } from "./base/make.js";
import { modelFacts } from "./model/model.js";
import { forgetColours } from "./base/plot.js";
import { precision } from "./jobs/precision.js";
import { recall, remember } from "./base/remember.js";
import { request, setControls, wanted } from "./run/request.js";
import { roofline } from "./jobs/roofline.js";
import { sampled } from "./jobs/sampled.js";
import { scorePanel } from "./score/score.js";
import { whileSeen } from "./base/seen.js";
import { ALL_KINDS, at, connect, pin, receive, store, touch, watch } from "./run/store.js";
import { status } from "./step/status.js";
import { textPanel } from "./text/stream.js";
import { tracePanel } from "./keep/traces.js";
import { takeOrder, wheel } from "./wheel/wheel.js";
import { receiveWork } from "./jobs/work.js";
import { chooseLanguage, currentLanguage, languages, say } from "./base/words.js";

const NAMES = { en: "English", "zh-TW": "繁體中文" };
const darkSystem = matchMedia("(prefers-color-scheme: dark)");

let chosenTheme = recall("theme");

const theme = () =>
  chosenTheme ?? (darkSystem.matches ? "dark" : "light");

function applyTheme() {
  document.documentElement.dataset.theme = theme();
  // Gradio's own controls take their colours from this class.
  document.body.classList.toggle("dark", theme() === "dark");
  forgetColours();
  touch(...ALL_KINDS.filter((kind) => kind !== "run"));
}

export function setTheme(name) {
  chosenTheme = name;
  remember("theme", name);
  applyTheme();
}

function applyLanguage() {
  document.documentElement.lang = currentLanguage();
  dispatchEvent(new CustomEvent("decodingLive:language", { detail: currentLanguage() }));
  touch("look", "state", "cursor", "steps", "head", "tree", "work");
}

export function setLanguage(tag) {
  chooseLanguage(tag);
  applyLanguage();
}

function header(root) {
  const [title, tagline] = [make("h1"), make("p")];
  const language = make("select", { id: "language" });
  for (const tag of languages) language.append(make("option", { value: tag, lang: tag }, NAMES[tag] ?? tag));
  const themeButton = make("button", { type: "button", id: "theme" }, "◐");
  language.addEventListener("change", () => setLanguage(language.value));
  themeButton.addEventListener("click", () => setTheme(theme() === "dark" ? "light" : "dark"));
  root.replaceChildren(title, tagline, make("nav", {}, language, themeButton));
  return () => {
    write(title, say("views.header.title"));
    write(tagline, say("views.header.tagline"));
    language.value = currentLanguage();
    language.setAttribute("aria-label", say("views.header.language"));
    themeButton.setAttribute("aria-label", say("views.header.theme"));
    themeButton.setAttribute("aria-pressed", String(theme() === "dark"));
    themeButton.title = say("views.header.theme");
  };
}

const SAMPLING = ["temperature", "top_k", "top_p", "min_p", "typical_p", "repetition_penalty"];
const UNCHANGED = { top_p: 1, typical_p: 1, repetition_penalty: 1, min_p: 0, top_k: 0 };

const valueOf = (config, key) => config[key] ?? UNCHANGED[key];

function summary(root) {
  const [name, where, how] = [make("b"), make("span"), make("span")];
  root.replaceChildren(name, where, how);
  return () => {
    const model = store.loaded ?? store.model;
    const config = store.settings ?? store.config;
    write(name, model?.name ?? "");
    const precision = model?.quantization ?? model?.dtype;
    write(where, model ? `${precision} · ${String(model.device).toUpperCase()}` : "");
    if (config.do_sample === undefined) return write(how, "");
    const set = SAMPLING.filter((key) => config[key] != null && config[key] !== UNCHANGED[key]);
    const values = set.map((key) => make("b", {}, `${key} ${config[key]}`));
    // Without one in the settings each run draws its own, named while these are its settings.
    const isOfRun = SAMPLING.every((key) => valueOf(config, key) === valueOf(store.config, key));
    const drawn = config.seed || (isOfRun ? store.config.seed : null);
    const seed = config.do_sample && drawn != null && drawn !== "" ? ` seed ${drawn}` : "";
    const mode = say(config.do_sample ? "views.summary.sampling" : "views.summary.greedy");
    how.replaceChildren(mode, ...(config.do_sample ? values.flatMap((value) => [" ", value]) : []), seed);
  };
}

const VIEWS = {
  header,
  summary,
  status,
  wheel,
  text: textPanel,
  distribution,
  confidence,
  "kv-cache": cache,
  latency,
  inspector,
  branches,
  trace: tracePanel,
  model: modelFacts,
};

// Below the first screen: drawn only while they are in sight.
const BELOW = { score: scorePanel, sampled, calibration, layers, forecast, caching, precision, roofline };

function take(text) {
  if (!text) return;
  const frame = JSON.parse(text);
  if ("work" in frame) receiveWork(frame);
  else receive(frame);
}

let isFilled = false;

/** Takes what Gradio's controls hold; nothing is known of them before the address had its say. */
function takeSettings(settings) {
  if (isFilled && store.settings === null) return;
  if (isFilled) return showSettings(settings);
  isFilled = true;
  fill(settings).then(showSettings, reportError);
}

function showSettings(settings) {
  store.settings = settings;
  touch("head");
}

function mount(name, element, feed) {
  if (name === "frame") return take(element);
  if (name === "feed") {
    const { server } = feed;
    return connect((...place) => server.steps_from(place), (question) => server.inspect_step([question]));
  }
  if (name === "settings") return takeSettings(element);
  const root = element.querySelector(".view") ?? element;
  if (name in VIEWS) watch(name, VIEWS[name](root));
  if (name in BELOW) watch(name, whileSeen(root, BELOW[name](root)));
}

const KEYS = {
  ArrowLeft: (index) => index - 1,
  ArrowRight: (index) => index + 1,
  PageUp: (index) => index - 10,
  PageDown: (index) => index + 10,
  Home: () => 0,
  End: (index, last) => last,
};

document.addEventListener("keydown", (event) => {
  if (!event.target.closest?.("#token-stream, [id$='-chart']") || event.altKey || event.ctrlKey || event.metaKey) return;
  const last = store.steps.length - 1;
  if (event.key === "Escape") pin(null);
  if (!(event.key in KEYS) || last < 0) return;
  event.preventDefault();
  pin(Math.min(last, Math.max(0, KEYS[event.key](at(), last))));
});
darkSystem.addEventListener("change", applyTheme);

function flush() {
  const queue = window.decodingLiveQueue ?? [];
  for (const call of queue.splice(0)) mount(...call);
}

window.decodingLive = {
  receive: take, mount, flush, setLanguage, setTheme, store, order: takeOrder, setControls, wanted, request,
};
address();
applyTheme();
applyLanguage();
flush();
