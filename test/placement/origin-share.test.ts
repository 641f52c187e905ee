import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { originShare } from "../../src/placement/origin-share.ts";

test("originShare: is the whole part, and never nothing", () => {
  for (const [target, live, share] of [
    [192, 1, 192],
    [192, 3, 64],
    [192, 5, 38],
    [2, 3, 1],
    [1, 1000, 1],
  ] as const) {
    assert.equal(originShare(target, live), share, `${target} over ${live}`);
  }
});

test("originShare: the shares of all do not pass the target while everybody can have one", () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 10_000 }), fc.integer({ min: 1, max: 1000 }), (target, live) => {
      assert.ok(originShare(target, live) * live <= Math.max(target, live));
    }),
  );
});
