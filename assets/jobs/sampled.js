// Several answers to the same prompt, grouped by what they say, and the model's own opinion.

import { make, write } from "../base/make.js";
import { count, duration, percent, say } from "../base/words.js";
import { fillTable, jobPanel, small } from "./compared.js";
import { jobOf } from "./job.js";

const KIND = "sampled";
const [GROUP, TEXT, PROBABILITY] = [1, 2, 3];
const QUOTED = 80;

const words = (key, args) => say(`views.sampled.${key}`, args);
const letterOf = (group) => String.fromCharCode(65 + group);
const nameOf = (group) => (group === 0 ? words("shown", { group: letterOf(0) }) : letterOf(group));
const sentences = (...parts) => parts.filter(Boolean).join(say("views.sentence.joint"));

function quoted(text) {
  const characters = [...text.trim()];
  return characters.length > QUOTED ? `${characters.slice(0, QUOTED).join("")} …` : characters.join("");
}

/** Each group with its distinct texts; the shown answer's first, then the largest. */
function groupsOf(rows) {
  const groups = new Map();
  for (const row of rows) {
    if (!groups.has(row[GROUP])) groups.set(row[GROUP], { group: row[GROUP], n: 0, texts: new Map() });
    const found = groups.get(row[GROUP]);
    const text = row[TEXT].trim();
    const known = found.texts.get(text) ?? { n: 0, probability: 0 };
    found.n += 1;
    found.texts.set(text, { n: known.n + 1, probability: Math.max(known.probability, row[PROBABILITY]) });
  }
  const rank = ({ group, n }) => (group === 0 ? -Infinity : -n);
  return [...groups.values()].sort((a, b) => rank(a) - rank(b) || a.group - b.group);
}

const tableRows = (groups) =>
  groups.flatMap(({ group, texts }) => [...texts].map(([text, { n, probability }]) =>
    [nameOf(group), text, `${count(n)} ×`, percent(probability)]));

const strip = (groups) => groups.map(({ group, n }) => {
  const part = make("span", { className: `said g${Math.min(group, 3)}` }, `${letterOf(group)} ${count(n)}`);
  part.style.flexGrow = n;
  return part;
});

const verdict = ({ agreeing, groups, semantic_entropy_bits }, drawn) =>
  words("agreement", { agreeing, drawn, n: groups, bits: small(semantic_entropy_bits) });

function opinion({ answer, p_true, p_true_mass }) {
  if (p_true === null) return "";
  const said = words("opinion", { answer: quoted(answer), p: percent(p_true), mass: percent(p_true_mass) });
  return sentences(said, p_true_mass < 0.5 && words("opinion_weak"));
}

const cost = ({ inferences, seconds, cache_use, prompt_tokens }) => sentences(
  words("cost", { n: inferences, time: duration(seconds) }),
  words(cache_use, { tokens: prompt_tokens }),
);

/** The panel: how many agree, what the model thinks of it, all answers by group, the cost. */
export function sampled(root, run) {
  const [agreement, thought, table] = [make("p", { className: "verdict" }), make("p", { className: "verdict" }), make("table")];
  const groupStrip = make("div", { className: "said-groups", role: "img" });
  const [meaning, method, took] = [0, 1, 2].map(() => make("p", { className: "remark" }));
  const frame = jobPanel(
    root, run, KIND,
    agreement, groupStrip, thought, meaning,
    make("div", { className: "numbers answers" }, table),
    took, method,
  );

  return (kinds) => {
    if (!kinds.has("job") && !kinds.has("look")) return;
    const { summary, rows, head } = jobOf(KIND);
    frame(kinds, summary !== null && head !== null);
    if (!summary || !head) return;
    const groups = groupsOf(rows);
    write(agreement, verdict(summary, rows.length));
    groupStrip.replaceChildren(...strip(groups));
    groupStrip.setAttribute("aria-label", agreement.textContent);
    write(thought, opinion(summary));
    write(meaning, words("meaning"));
    fillTable(table, words("title"), ["answer", "drawn", "probability"].map((key) => words(key)), tableRows(groups));
    write(took, cost(summary));
    write(method, words("method", { temperature: head.temperature, seed: head.seed }));
  };
}
