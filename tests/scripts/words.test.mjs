import assert from "node:assert/strict";
import { test } from "node:test";
import "./page.mjs";

const { bytes, chooseLanguage, count, currentLanguage, duration, fixed, languages, percent, say, share } = await import(
  "../../assets/base/words.js"
);

test("the first language that there are texts of", () => {
  assert.deepEqual(languages, ["en", "zh-TW"]);
  assert.equal(currentLanguage(), "en");
});

test("placeholders are filled; what has no value stays", () => {
  assert.equal(say("plain"), "words");
  assert.equal(say("tokens", { n: 1200, name: "$&" }), "1,200 tokens of $&");
  assert.equal(say("tokens", { n: 1, name: "x" }), "one token of x");
  assert.equal(say("only"), "{missing} stays");
  assert.equal(say("no.such.key"), "no.such.key");
});

test("a probability never rounds doubt away", () => {
  const said = [0, 1, 0.9999, 0.000001, 0.995, 0.5, 0.05, 0.005, 0.0005].map(percent);
  const percents = ["0", "100", ">\u00a099.9", "<\u00a00.001", "99.5", "50", "5.0", "0.50", "0.050"];
  assert.deepEqual(said, percents.map((text) => `${text}\u00a0%`));
});

test("a share may pass the whole", () => {
  assert.equal(share(1.5), "150\u00a0%");
  assert.equal(share(0.0123), "1.23\u00a0%");
});

test("sizes in decimal units and three digits", () => {
  assert.deepEqual([999, 1000, 12_345, 999_999].map((n) => bytes(n)), ["999\u00a0B", "1.00\u00a0kB", "12.3\u00a0kB", "1,000\u00a0kB"]);
  assert.equal(bytes(2_000_000, true), "2\u00a0MB");
  assert.equal(bytes(5e15), "5,000\u00a0TB");
});

test("times, counts and digits", () => {
  assert.deepEqual([0.0012, 0.012, 1.5, 12].map(duration), ["1.2 ms", "12 ms", "1.50 s", "12.0 s"]);
  assert.equal(count(1234567), "1,234,567");
  assert.equal(fixed(1, 2), "1.00");
});

test("another language is spoken from then on", () => {
  chooseLanguage("zh-TW");
  assert.equal(say("plain"), "字");
  chooseLanguage("en");
});
