// The page's frame: header, theme, language, keys, and the places where the views are mounted.

import { make, write } from "./base/make.js";
import { forgetColours } from "./base/plot.js";
import { recall, remember } from "./base/remember.js";
import { whileSeen } from "./base/seen.js";
import { titleOf } from "./base/title.js";
import { ALL_KINDS, touchAll } from "./base/watched.js";
import { chooseLanguage, currentLanguage, languages, say } from "./base/words.js";
import { cache, confidence, latency } from "./charts/along.js";
import { caching } from "./jobs/caching.js";
import { calibration } from "./jobs/calibration.js";
import { receiveJob } from "./jobs/job.js";
import { precision } from "./jobs/precision.js";
import { roofline } from "./jobs/roofline.js";
import { sampled } from "./jobs/sampled.js";
import { tracePanel } from "./keep/traces.js";
import { forecast } from "./model/forecast.js";
import { layers } from "./model/layers.js";
import { modelFacts } from "./model/model.js";
import { Address } from "./run/address.js";
import { expectAnswer, heard } from "./run/answer.js";
import { draws, inForce, precisionOf, valueOf } from "./run/config.js";
import { Connection } from "./run/connection.js";
import { readFrame } from "./run/frame.js";
import { request, wanted } from "./run/request.js";
import { createRun } from "./run/run.js";
import { connect } from "./run/server.js";
import { scorePanel } from "./score/score.js";
import { distribution } from "./step/distribution.js";
import { Inspection } from "./step/inspection.js";
import { inspector } from "./step/inspector.js";
import { status } from "./step/status.js";
import { textPanel } from "./text/stream.js";
import { branches } from "./wheel/branches.js";
import { keyList } from "./wheel/keys.js";
import { takeOrder, wheel } from "./wheel/wheel.js";

const run = createRun();
const address = new Address(run);
const connection = new Connection(run, window.gradio_config?.app_id);
const inspection = new Inspection(run);

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
  touchAll(...ALL_KINDS.filter((kind) => kind !== "run"));
}

function setTheme(name) {
  chosenTheme = name;
  remember("theme", name);
  applyTheme();
}

function applyLanguage() {
  document.documentElement.lang = currentLanguage();
  dispatchEvent(new CustomEvent("decodingLive:language", { detail: currentLanguage() }));
  touchAll("look", "state", "cursor", "steps", "head", "tree", "job");
}

function setLanguage(tag) {
  chooseLanguage(tag);
  applyLanguage();
}

function header(root) {
  const [title, tagline] = [make("h1"), make("p")];
  const language = make("select", { id: "language" });
  for (const tag of languages) language.append(make("option", { value: tag, lang: tag }, NAMES[tag] ?? tag));
  const themeButton = make("button", { type: "button", id: "theme" }, "◐");
  const [openKeys, keysButton] = [keyList(), make("button", { type: "button", id: "show-keys" }, "?")];
  language.addEventListener("change", () => setLanguage(language.value));
  themeButton.addEventListener("click", () => setTheme(theme() === "dark" ? "light" : "dark"));
  keysButton.addEventListener("click", openKeys);
  root.replaceChildren(title, tagline, make("nav", {}, language, themeButton, keysButton));
  return () => {
    write(title, say("views.header.title"));
    write(tagline, say("views.header.tagline"));
    language.value = currentLanguage();
    language.setAttribute("aria-label", say("views.header.language"));
    themeButton.setAttribute("aria-label", say("views.header.theme"));
    themeButton.setAttribute("aria-pressed", String(theme() === "dark"));
    themeButton.title = say("views.header.theme");
    keysButton.setAttribute("aria-label", say("views.keys.open"));
    keysButton.title = say("views.keys.open");
  };
}

const SAMPLING = ["temperature", "top_k", "top_p", "min_p", "typical_p", "repetition_penalty"];

function summary(root, run) {
  const [name, where, how] = [make("b"), make("span"), make("span")];
  root.replaceChildren(name, where, how);
  return () => {
    const model = run.loaded ?? run.model;
    const config = run.settings ?? run.config;
    write(name, model?.name ?? "");
    write(where, model ? `${precisionOf(model)} · ${String(model.device).toUpperCase()}` : "");
    if (config.do_sample === undefined) return write(how, "");
    const values = inForce(config, SAMPLING).map((text) => make("b", {}, text));
    // Without one in the settings each run draws its own, named while these are its settings.
    const isOfRun = SAMPLING.every((key) => valueOf(config, key) === valueOf(run.config, key));
    const drawn = config.seed || (isOfRun ? run.config.seed : null);
    const seed = draws(config) && drawn != null && drawn !== "" ? ` seed ${drawn}` : "";
    const greedy = config.do_sample ? "greedy_by_temperature" : "greedy";
    const mode = say(`views.summary.${draws(config) ? "sampling" : greedy}`);
    how.replaceChildren(mode, ...(draws(config) ? values.flatMap((value) => [" ", value]) : []), seed);
  };
}

const VIEWS = {
  header,
  summary,
  status: (root) => status(root, run, address),
  wheel,
  text: textPanel,
  distribution: (root) => distribution(root, run, inspection),
  confidence,
  "kv-cache": cache,
  latency,
  inspector: (root) => inspector(root, run, inspection),
  branches,
  trace: (root) => tracePanel(root, run, address),
  model: modelFacts,
};
const TITLED = ["score", "sampled", "calibration", "caching", "precision", "roofline"];
for (const panel of TITLED) VIEWS[`${panel}-title`] = titleOf(panel);

// What the loaded model's chat template does not know is no choice.
run.watch("thinking", () => {
  document.documentElement.classList.toggle("can-think", Boolean((run.loaded ?? run.model)?.thinking_switch));
});

// Below the first screen: drawn only while they are in sight.
const BELOW = { score: scorePanel, sampled, calibration, layers, forecast, caching, precision, roofline };

function take(text) {
  const frame = readFrame(text);
  if (frame === null) return;
  heard();
  if ("work" in frame) receiveJob(frame);
  else run.receive(frame);
}

let isAddressHeard = false;

/** Takes what Gradio's controls hold; nothing is known of them before the address had its say. */
function takeSettings(settings) {
  if (!isAddressHeard) address.fill(settings, connection.draft()).then(showSettings, reportError);
  else if (run.settings !== null) showSettings(settings);
  isAddressHeard = true;
}

function showSettings(settings) {
  run.settings = settings;
  run.touch("head");
}

function mount(name, element, feed) {
  if (name === "frame") return take(element);
  if (name === "feed") {
    const { server } = feed;
    return connect((...place) => server.steps_from(place), (question) => server.inspect_step([question]));
  }
  if (name === "settings") return takeSettings(element);
  const root = element.querySelector(".view") ?? element;
  if (name in VIEWS) run.watch(name, VIEWS[name](root, run));
  if (name in BELOW) run.watch(name, whileSeen(root, BELOW[name](root, run)));
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
  const last = run.steps.length - 1;
  if (event.key === "Escape") run.pin(null);
  if (!(event.key in KEYS) || last < 0) return;
  event.preventDefault();
  run.pin(Math.min(last, Math.max(0, KEYS[event.key](run.cursor, last))));
});
darkSystem.addEventListener("change", applyTheme);

function flush() {
  const queue = window.decodingLiveQueue ?? [];
  for (const call of queue.splice(0)) mount(...call);
}

window.decodingLive = {
  receive: take, mount, flush, setLanguage, setTheme, store: run, order: takeOrder, wanted, request,
  expectAnswer,
};
applyTheme();
applyLanguage();
flush();
connection.watch();
