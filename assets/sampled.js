// Several answers to the same prompt, and how far they agree.

import { make, write } from "./make.js";
import { say } from "./words.js";

export function sampled(root) {
  const title = make("h2");
  root.replaceChildren(make("header", {}, title));
  return () => write(title, say("views.sampled.title"));
}
