// The title of a panel whose controls stand between it and what they bring.

import { make, write } from "./make.js";
import { say } from "./words.js";

/** A view of the title and the subtitle that the texts have for a panel. */
export const titleOf = (panel) => (root) => {
  const [title, subtitle] = [make("h2"), make("small")];
  root.replaceChildren(make("header", {}, title, subtitle));
  return (kinds) => {
    if (!kinds.has("look")) return;
    write(title, say(`views.${panel}.title`));
    write(subtitle, say(`views.${panel}.subtitle`));
  };
};
