import assert from "node:assert/strict";
import { test } from "node:test";
import { quoted } from "../../src/edge/quoted.ts";

test("quoted: short values as they are, long ones cut", () => {
  assert.equal(quoted("abc"), '"abc"');
  assert.equal(quoted("x".repeat(100)).length, 102);
  assert.equal(quoted("x".repeat(16_000)), `"${"x".repeat(100)}…"`);
});

test("quoted: a cut through a surrogate pair leaves no half of it", () => {
  assert.equal(quoted(`${"x".repeat(99)}🐋`), `"${"x".repeat(99)}\uFFFD…"`);
});
