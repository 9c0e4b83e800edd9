import assert from "node:assert/strict";
import { test } from "node:test";
import "./page.mjs";

let press = null;
document.addEventListener = (_, listener) => (press = listener);
const { onKeys } = await import("../../assets/base/keys.js");
const done = [];
onKeys({ p: () => void done.push("p"), n: () => void done.push("n"), "?": () => void done.push("?"), x: () => false });

/** An element as far as a key looks at it. */
function element(tag, { type, readOnly = false, options = [] } = {}) {
  const matches = (selector) => selector === tag;
  const own = { type, readOnly, matches, options: options.map((text) => ({ text })) };
  const closest = (selector) => (selector.split(", ").includes(tag) ? own : null);
  return Object.assign(own, { closest });
}

/** What keys do, pressed one after the other on an element; and which were kept from others. */
function acts(target, keys, more = {}) {
  done.length = 0;
  const kept = [];
  keys.forEach((key, i) => press({ key, target, timeStamp: 100 * i, preventDefault: () => kept.push(key), ...more }));
  assert.deepEqual(kept.map((key) => key.toLowerCase()), done);
  return done.join("");
}

test("keys act on whatever takes no letters", () => {
  for (const type of ["range", "checkbox", "radio", "file"]) assert.equal(acts(element("input", { type }), ["p", "N", "?"]), "pn?");
  for (const tag of ["button", "div", "summary", "body"]) assert.equal(acts(element(tag), ["p", "?"]), "p?");
  assert.equal(acts(element("input", { type: "text", readOnly: true }), ["p"]), "p");
  assert.equal(acts({}, ["n"]), "n");
});

test("letters that are typed are letters", () => {
  for (const type of ["text", "number", "search"]) assert.equal(acts(element("input", { type }), ["p", "n", "?"]), "");
  for (const tag of ["textarea", "[contenteditable]"]) assert.equal(acts(element(tag), ["p", "n", "?"]), "");
});

test("a list keeps the letters that seek an entry of it", () => {
  const list = () => element("select", { options: ["probability", "rank"] });
  assert.equal(acts(list(), ["p", "n"]), "");
  assert.equal(acts(list(), ["n"]), "n");
  assert.equal(acts(element("select", { options: ["English", "繁體中文"] }), ["p", "e", "n"]), "p");
});

test("keys with others, held ones and those of others are left alone", () => {
  const body = element("body");
  for (const one of ["altKey", "ctrlKey", "metaKey", "shiftKey", "repeat", "defaultPrevented"]) {
    assert.equal(acts(body, ["p"], { [one]: true }), "", one);
  }
  assert.equal(acts(body, ["?"], { shiftKey: true }), "?");
  assert.equal(acts(body, ["x", "Enter", "q"]), "");
});
