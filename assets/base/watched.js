// What changes and is drawn: views are told, once a frame, which kinds of change there were.

export const ALL_KINDS = ["run", "head", "steps", "branch", "tree", "state", "cursor", "look", "job"];

const everything = new Set();

/** Tells the views of whatever is drawn on the page: what changed is no single run's. */
export function touchAll(...kinds) {
  for (const watched of everything) watched.touch(...kinds);
}

export class Watched {
  #views = new Map();
  #kinds = new Set();
  #isScheduled = false;

  constructor() {
    everything.add(this);
  }

  /** Calls `draw(kinds)` at once and after each change; a second view of a name replaces the first. */
  watch(name, draw) {
    this.#views.set(name, draw);
    draw(new Set(ALL_KINDS));
  }

  /** Has the views drawn in the next animation frame, once for all changes before it. */
  touch(...kinds) {
    for (const kind of kinds) this.#kinds.add(kind);
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    requestAnimationFrame(() => this.#draw());
  }

  /** Called when the views have drawn all that changed. */
  drawn() {}

  #draw() {
    this.#isScheduled = false;
    const kinds = this.#kinds;
    this.#kinds = new Set();
    for (const draw of this.#views.values()) {
      try {
        draw(kinds);
      } catch (error) {
        // One view's mistake must not blank the others.
        reportError(error);
      }
    }
    if (!this.#isScheduled) this.drawn();
  }
}
