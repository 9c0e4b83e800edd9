// The texts that were scored in this visit.

import { make, write } from "./make.js";
import { say } from "./words.js";

export function scorePanel(root) {
  const title = make("h2");
  root.replaceChildren(make("header", {}, title));
  return () => write(title, say("views.score.title"));
}
