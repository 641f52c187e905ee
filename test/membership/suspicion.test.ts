import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import {
  confirmationsExpected,
  suspicionTimeoutMinMs,
  suspicionTimeoutMs,
} from "../../src/membership/suspicion.ts";
import { defaultSwimSettings } from "../../src/membership/swim-settings.ts";

test("suspicionTimeoutMinMs: grows with the logarithm of the cluster, from ten replicas on", () => {
  for (const [live, expectedMs] of [
    [1, 4000],
    [5, 4000],
    [10, 4000],
    [100, 8000],
    [1000, 12_000],
  ] as const) {
    assert.equal(Math.round(suspicionTimeoutMinMs(defaultSwimSettings, live)), expectedMs, `${live} live`);
  }
});

test("confirmationsExpected: is two, or the number of other members if that is less", () => {
  const expected = [1, 2, 3, 4, 5, 100].map((live) => confirmationsExpected(defaultSwimSettings, live));
  assert.deepEqual(expected, [0, 0, 1, 2, 2, 2]);
});

test("suspicionTimeoutMs: each accuser shortens it, the last expected one to the minimum", () => {
  const timeouts = [0, 1, 2, 3].map((confirmations) =>
    Math.round(suspicionTimeoutMs(defaultSwimSettings, 5, 2, confirmations)),
  );
  assert.deepEqual(timeouts, [12_000, 6953, 4000, 4000]);
  assert.equal(suspicionTimeoutMs(defaultSwimSettings, 2, 0, 0), 4000, "no other accuser is possible");
});

test("suspicionTimeoutMs: never leaves its bounds and never grows with confirmations", () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 1000 }), fc.nat(10), (live, confirmations) => {
      const expected = confirmationsExpected(defaultSwimSettings, live);
      const minMs = suspicionTimeoutMinMs(defaultSwimSettings, live);
      const timeoutMs = suspicionTimeoutMs(defaultSwimSettings, live, expected, confirmations);
      const maxMs = minMs * defaultSwimSettings.suspicionTimeoutMaxMultiplier;
      assert.ok(timeoutMs >= minMs && timeoutMs <= maxMs);
      assert.ok(timeoutMs >= suspicionTimeoutMs(defaultSwimSettings, live, expected, confirmations + 1));
    }),
  );
});
