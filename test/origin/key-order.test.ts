import assert from "node:assert/strict";
import { test } from "node:test";
import { compareKeys, isAfter } from "../../src/origin/key-order.ts";

test("compareKeys: UTF-8 bytes decide, where UTF-16 would have it the other way round", () => {
  assert.deepEqual(["\u{ff5e}", "\u{1f600}"].sort(), ["\u{1f600}", "\u{ff5e}"]);
  assert.ok(compareKeys("\u{1f600}", "\u{ff5e}") > 0);
  assert.ok(compareKeys("a-", "a/") < 0);
  assert.equal(compareKeys("a", "a"), 0);
});

test("isAfter: every key comes after the empty one, none after itself", () => {
  assert.ok(isAfter("a", ""));
  assert.ok(!isAfter("", ""));
  assert.ok(!isAfter("a", "a"));
  assert.ok(isAfter("b", "a"));
});
