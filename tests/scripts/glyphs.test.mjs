import assert from "node:assert/strict";
import { test } from "node:test";
import { hasInk, hasInkless, isBreak, isUnseen, label, quoted, redirects, shortened, visible } from "../../assets/base/glyphs.js";

test("what leaves no ink is written out", () => {
  assert.equal(visible(" a\tb\n"), "␣a⇥b⏎");
  assert.equal(visible("\u0000\u001b"), "‹NUL›‹ESC›");
  assert.equal(visible("\u200b\u202e"), "‹U+200B›‹U+202E›");
  assert.equal(visible("\ud800"), "‹U+D800›");
  assert.equal(visible("plain"), "plain");
});

test("the joiner inside an emoji is part of it, one beside it is not", () => {
  assert.equal(visible("👩‍👩‍👧 x"), "👩‍👩‍👧␣x");
  assert.equal(visible("x\u200dy"), "x‹U+200D›y");
  assert.equal(visible("❤️\u0001E"), "❤‹U+FE0F›‹SOH›E");
});

test("tokens with no mark of their own are told apart from a line's end", () => {
  assert.deepEqual(["", "\u200b", "\u0007"].map(isUnseen), [true, true, true]);
  assert.deepEqual(["\n", "\t", " ", "a"].map(isUnseen), [false, false, false, false]);
  assert.deepEqual(["\n", " \n ", "a\n", " "].map(isBreak), [true, true, false, false]);
  assert.deepEqual(["a b", "ab"].map(hasInkless), [true, false]);
  assert.deepEqual(["a b", " \n", "\u200b", ""].map(hasInk), [true, false, false, false]);
  assert.deepEqual(["\u202e", "a"].map(redirects), [true, false]);
});

test("a text is shortened by characters, not by halves of them", () => {
  assert.equal(shortened("abc", 3), "abc");
  assert.equal(shortened("abcd", 3), "ab…");
  assert.equal(shortened("😀😀😀", 3), "😀😀😀");
  assert.equal(shortened("😀😀😀", 2), "😀…");
});

test("a label is no markup", () => {
  assert.equal(label("<b>&", 9), "&lt;b&gt;&amp;");
  assert.equal(label("<<<<", 3), "&lt;&lt;…");
});

test("a quotation keeps its spaces inside and loses those around it", () => {
  assert.equal(quoted(" two words "), "two words");
  assert.equal(quoted(" \n"), "␣⏎");
  assert.equal(quoted("x".repeat(25)), `${"x".repeat(23)}…`);
});
