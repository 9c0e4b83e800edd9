// What the tokens' colours mean, and the choice between two meanings.

import { make, write } from "../base/make.js";
import { count, say } from "../base/words.js";
import { chooseColouring, colouring, COLOURINGS, rankLevel, surpriseLevel } from "../run/colouring.js";

const words = (key) => say(`views.marks.${key}`);

/** The choice, into `root`; returns how to draw it. */
export function colouringChoice(root) {
  const select = make("select", { id: "coloured-by" });
  const options = COLOURINGS.map((value) => make("option", { value }));
  select.append(...options);
  select.addEventListener("change", () => chooseColouring(select.value));
  root.append(select);
  return () => {
    for (const option of options) write(option, words(`by_${option.value}`));
    select.value = colouring();
  };
}

// Each colour of the legend: its level, and what it stands for.
const SWATCHES = {
  probability: [100, 50, 25, 12, 6].map((p) => [surpriseLevel(-Math.log2(p / 100)), () => `${p} %`]),
  rank: [1, 2, 10, 100, 1000].map((rank) => [rankLevel(rank), () => count(rank)]),
};

/** The legend, into `root`; returns how to draw it. */
export function legend(root) {
  const ramp = SWATCHES.probability.map(() => make("span"));
  const [certain, unlikely] = [make("span"), make("span")];
  root.append(make("div", { className: "legend" }, certain, ...ramp, unlikely));

  return () => {
    const by = colouring();
    write(certain, words(`certain_${by}`));
    write(unlikely, words(`unlikely_${by}`));
    SWATCHES[by].forEach(([level, text], i) => {
      ramp[i].className = `token d${level}`;
      write(ramp[i], text());
    });
  };
}
