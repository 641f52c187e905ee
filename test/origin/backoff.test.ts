import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { SeededRandom } from "../../src/base/random.ts";
import { backoffMs, type RetryPolicy } from "../../src/origin/backoff.ts";

const policy: RetryPolicy = {
  attempts: 3,
  backoffInitialMs: 100,
  backoffMaxMs: 2000,
  maxTotalDurationMs: 5000,
};

test("backoffMs: doubles from the initial pause up to the longest, less at most half of it", () => {
  const most = { next: () => 1 };
  const least = { next: () => 0 };
  assert.deepEqual(
    [1, 2, 3, 4, 5, 6, 7].map((attempt) => backoffMs(attempt, policy, most, undefined)),
    [100, 200, 400, 800, 1600, 2000, 2000],
  );
  assert.deepEqual(
    [1, 2, 6].map((attempt) => backoffMs(attempt, policy, least, undefined)),
    [50, 100, 1000],
  );
});

test("backoffMs: is never shorter than the origin asked for", () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 60 }), fc.nat(120), fc.integer(), (attempt, seconds, seed) => {
      const pauseMs = backoffMs(attempt, policy, new SeededRandom(seed), seconds);
      return pauseMs >= seconds * 1000 && pauseMs >= 50;
    }),
  );
});
