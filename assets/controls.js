// The words and values of Gradio's own controls, changed in the page without the server.

const read = (id) => JSON.parse(document.getElementById(id)?.textContent ?? "null");
const texts = read("decoding-live-texts") ?? {};
const examples = read("decoding-live-examples") ?? [];

const language = () => (document.documentElement.lang in texts ? document.documentElement.lang : "en");
const update = (properties) => ({ ...properties, __type__: "update" });

/**
 * One update for each native control, in the order in which the page's event lists them.
 * `more` says of the last ones which property has which of the page's words.
 */
function labels(settingNames, more = []) {
  const { page, settings } = texts[language()];
  return [
    update({ label: page.prompt, placeholder: page.prompt_placeholder }),
    update({ label: page.chat, info: page.chat_help }),
    update({ label: page.system, info: page.system_help }),
    ...settingNames.map((name) => update({ label: settings[name].label, info: settings[name].help })),
    update({ value: page.generate }),
    update({ value: page.stop }),
    update({ label: page.settings }),
    ...examples.map((example) => update({ value: example.label[language()] })),
    ...more.map((keys) =>
      update(Object.fromEntries(Object.entries(keys).map(([property, key]) => [property, page[key]]))),
    ),
  ];
}

/** The values of an example: the prompt, and the settings it names; the others stay. */
function example(number, settingNames, values) {
  const { prompt, settings = {} } = examples[number];
  document.querySelector("#prompt textarea")?.focus();
  return [prompt[language()], ...settingNames.map((name, i) => (name in settings ? settings[name] : values[i]))];
}

/** What a setting has where the visitor has not set it. */
const usual = (id) => window.gradio_config?.components.find(({ props }) => props?.elem_id === id)?.props.value;

// A number that was emptied is its default: Gradio would make it the least that is allowed.
function refill({ target }) {
  const setting = target.matches?.("[id^='setting-'] input[type='number']") && target.value === "" && target.closest("[id^='setting-']");
  if (!setting) return;
  target.value = usual(setting.id);
  target.dispatchEvent(new Event("input", { bubbles: true }));
}

const relabel = () => document.querySelector("#language-changed")?.click();

window.decodingLiveControls = { labels, example, relabel };
addEventListener("decodingLive:language", relabel);
// Before Gradio's own listener, which is the field's.
addEventListener("blur", refill, true);
relabel();
