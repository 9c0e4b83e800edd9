import assert from "node:assert/strict";
import { test } from "node:test";
import "./page.mjs";

const { spoken } = await import("../../assets/text/token.js");

test("a token is read out as its text, or as signs where it leaves no ink", () => {
  assert.equal(spoken(" word"), "word");
  assert.equal(spoken("", "<0xE2>"), "<0xE2>");
  assert.equal(spoken("\u200b\u0007"), "‹U+200B›‹BEL›");
  assert.equal(spoken("\u200b".repeat(99)).length, 60);
});

test("white space is read out in words", () => {
  assert.equal(spoken(" "), "space");
  assert.equal(spoken("\n\n\t"), "2 line breaks tab");
});
