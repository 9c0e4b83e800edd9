// Whether the server answers, and is the one that served this page; what was typed outlives it.

import { keepForTab, takeForTab } from "../base/remember.js";

const EVERY_MS = 5000;
const DRAFT = "draft";
const LOST = { key: "server_lost" };
const AGAIN = { key: "server_again" };
const TYPED = { prompt: "#prompt textarea", system: "#setting-system :is(textarea, input)" };

/** A number that each start of a server draws; null where none answers. */
async function serverNow() {
  try {
    const answer = await fetch("gradio_api/app_id", { cache: "no-store" });
    return answer.ok ? (await answer.json()).app_id : null;
  } catch {
    // No connection, or something else than this page's server at the address.
    return null;
  }
}

function typed() {
  const fields = Object.entries(TYPED).map(([name, place]) => [name, document.querySelector(place)]);
  return Object.fromEntries(fields.flatMap(([name, field]) => (field ? [[name, field.value]] : [])));
}

export class Connection {
  /** @param server the number of the one that served the page */
  constructor(run, server, reload = () => location.reload()) {
    Object.assign(this, { run, server, reload });
  }

  /** Looks from now on, while the page is in sight; keeps what was typed when the page is left. */
  watch() {
    setInterval(() => document.visibilityState === "visible" && this.look(), EVERY_MS);
    document.addEventListener("visibilitychange", () => document.visibilityState === "visible" && this.look());
    addEventListener("pagehide", () => this.keep());
  }

  /** Says that no server answers; has the page loaded anew where another one does. */
  async look() {
    const { run } = this;
    if (this.server === undefined) return; // a file of its own, which no server has to do with
    const now = await serverNow();
    const lost = now === null ? LOST : null;
    if (run.lost !== lost) {
      run.lost = lost;
      run.touch("state");
    }
    // Gradio does so by itself where it was waiting for an answer.
    if (now !== null && now !== this.server) this.reload();
  }

  keep() {
    const { run, server } = this;
    if (run.settings === null) return;
    const values = { ...run.settings, ...typed() };
    keepForTab(DRAFT, JSON.stringify({ server, lost: run.lost !== null, href: location.href, values }));
  }

  /** What stood in the controls when the server went, once; nothing where the visitor left or reloaded. */
  draft() {
    const { server, lost, href, values } = JSON.parse(takeForTab(DRAFT) ?? "{}");
    if (href !== location.href || (server === this.server && !lost)) return {};
    this.run.told = AGAIN;
    return values;
  }
}
