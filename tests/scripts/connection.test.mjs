import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";
import { nextFrame } from "./page.mjs";

const { Connection } = await import("../../assets/run/connection.js");
const { createRun } = await import("../../assets/run/run.js");

const kept = new Map();
const fields = { "#prompt textarea": { value: "typed" }, "#setting-system :is(textarea, input)": null };
const globals = {
  sessionStorage: {
    getItem: (key) => kept.get(key) ?? null,
    setItem: (key, value) => kept.set(key, value),
    removeItem: (key) => kept.delete(key),
  },
  location: { href: "http://here/" },
};
for (const [name, value] of Object.entries(globals)) {
  Object.defineProperty(globalThis, name, { value, configurable: true });
}
document.querySelector = (place) => fields[place];

const answers = (server) => async () => ({ ok: true, json: async () => ({ app_id: server }) });
const refused = async () => {
  throw new TypeError("fetch failed");
};

let run, reloads;
const connectionTo = (server) => new Connection(run, server, () => (reloads += 1));

beforeEach(() => {
  [run, reloads] = [createRun(), 0];
  run.settings = { temperature: 2 };
  kept.clear();
  globals.location.href = "http://here/";
});

test("a server that does not answer is said to be gone until it answers again", async () => {
  const told = [];
  run.watch("view", () => told.push(run.lost?.key ?? null));
  const connection = connectionTo(1);
  for (const fetched of [answers(1), refused, async () => ({ ok: false }), answers(1)]) {
    globalThis.fetch = fetched;
    await connection.look();
    nextFrame();
  }
  assert.deepEqual([told, reloads], [[null, "server_lost", null], 0]);
});

test("where another server answers the page is loaded anew", async () => {
  globalThis.fetch = answers(2);
  await connectionTo(1).look();
  assert.equal(reloads, 1);
});

test("what was typed comes back where the server went, once", () => {
  connectionTo(1).keep();
  const again = connectionTo(2);
  assert.deepEqual(again.draft(), { temperature: 2, prompt: "typed" });
  assert.equal(run.told.key, "server_again");
  assert.deepEqual(again.draft(), {});
});

test("what was typed comes back where the same server was out of reach", () => {
  const connection = connectionTo(1);
  run.lost = { key: "server_lost" };
  connection.keep();
  assert.equal(connection.draft().prompt, "typed");
});

test("a visitor who loads the page again, or comes by a link, begins anew", () => {
  connectionTo(1).keep();
  assert.deepEqual(connectionTo(1).draft(), {});
  connectionTo(1).keep();
  globals.location.href = "http://here/?prompt=other";
  assert.deepEqual(connectionTo(2).draft(), {});
  assert.equal(run.told, null);
});

test("nothing is kept of controls that never were there", () => {
  run.settings = null;
  connectionTo(1).keep();
  assert.equal(kept.size, 0);
});
