import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { Histogram, latencyBoundsSeconds } from "../../src/base/histogram.ts";

test("Histogram: a value on a bound counts into that bound's bucket", () => {
  const histogram = new Histogram([1, 2, 5]);
  for (const seconds of [0, 1, 1.5, 2, 5, 5.5]) histogram.observe(seconds);
  assert.deepEqual(histogram.cumulativeBuckets(), [
    { boundSeconds: 1, count: 2 },
    { boundSeconds: 2, count: 4 },
    { boundSeconds: 5, count: 5 },
    { boundSeconds: Infinity, count: 6 },
  ]);
  assert.equal(histogram.sumSeconds, 15);
  assert.equal(histogram.count, 6);
});

test("Histogram: nothing observed is all zeros", () => {
  const histogram = new Histogram();
  assert.equal(histogram.count, 0);
  assert.equal(histogram.sumSeconds, 0);
  assert.equal(histogram.cumulativeBuckets().length, latencyBoundsSeconds.length + 1);
  assert.ok(histogram.cumulativeBuckets().every(({ count }) => count === 0));
});

test("Histogram: what is no duration is a bug", () => {
  const histogram = new Histogram();
  assert.throws(() => histogram.observe(-0.1), { name: "AssertionFailure" });
  assert.throws(() => histogram.observe(Number.NaN), { name: "AssertionFailure" });
  assert.equal(histogram.count, 0);
});

test("Histogram: bounds that do not ascend are a bug", () => {
  assert.throws(() => new Histogram([]), { name: "AssertionFailure" });
  assert.throws(() => new Histogram([1, 1]), { name: "AssertionFailure" });
  assert.throws(() => new Histogram([2, 1]), { name: "AssertionFailure" });
});

test("Histogram: each bucket counts the values at or below its bound", () => {
  const seconds = fc.oneof(
    fc.constantFrom(...latencyBoundsSeconds),
    fc.double({ min: 0, max: 100, noNaN: true }),
  );
  fc.assert(
    fc.property(fc.array(seconds), (observed) => {
      const histogram = new Histogram();
      for (const value of observed) histogram.observe(value);
      for (const { boundSeconds, count } of histogram.cumulativeBuckets()) {
        assert.equal(count, observed.filter((value) => value <= boundSeconds).length);
      }
      assert.equal(histogram.count, observed.length);
    }),
  );
});
