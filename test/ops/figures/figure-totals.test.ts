import assert from "node:assert/strict";
import { test } from "node:test";
import { explainedErrors, totalsOf } from "../../../src/ops/figures/figure-totals.ts";
import { figuresOf, originFigures } from "./figures-of.ts";

test("totalsOf: sums replicas, and tells ratios and money", () => {
  const sources = { memory: { bytes: 30, requests: 3 }, origin: { bytes: 10, requests: 1 } };
  const totals = totalsOf([
    figuresOf("a", { served_bytes: 40, origin_bytes: 0, requests: 4, sources, bad_answers: 1 }),
    figuresOf("b", {
      served_bytes: 60,
      origin_bytes: 25,
      requests: 4,
      sources: { peer: { bytes: 60, requests: 4 } },
      origins: [originFigures(3e9, 1e9, 0.5), originFigures(9e9, 1e9, 0)],
    }),
  ]);
  assert.deepEqual(totals, {
    served_bytes: 100,
    origin_bytes: 25,
    saved_bytes: 75,
    hit_ratio_bytes: 0.75,
    requests: 8,
    hit_ratio_requests: 3 / 8,
    bad_answers: 1,
    sources: { ...sources, peer: { bytes: 60, requests: 4 } },
    first_byte_ms: { p50: null, p99: null },
    cost: { fetched: 0.5, saved: 1 },
  });
  const { cost, hit_ratio_bytes, hit_ratio_requests } = totalsOf([figuresOf("a")]);
  assert.deepEqual([cost, hit_ratio_bytes, hit_ratio_requests], [null, null, null]);
});

function quantiles(...counts: number[]) {
  return totalsOf([
    figuresOf("a", { first_byte: [{ bound_ms: 0.25, count: counts[0] ?? 0 }, { count: 0 }] }),
    figuresOf("b", { first_byte: [{ bound_ms: 100, count: counts[1] ?? 0 }, { count: counts[2] ?? 0 }] }),
  ]).first_byte_ms;
}

test("totalsOf: quantiles are the bounds of buckets over all replicas, and unknown above the last", () => {
  assert.deepEqual(quantiles(98, 2, 0), { p50: 0.25, p99: 100 });
  assert.deepEqual(quantiles(98, 1, 5), { p50: 0.25, p99: null });
});

test("explainedErrors: one entry for each place and code, with what to do", () => {
  const error = { place: "o", code: "origin_throttled", count: 3, last_hour: 1, last_ms: 5 };
  const errors = explainedErrors([
    figuresOf("a", { errors: [error, { ...error, place: "clients", code: "of a later version" }] }),
    figuresOf("b", { errors: [{ ...error, last_ms: 9 }] }),
  ]);
  assert.deepEqual(
    errors.map(({ place, count, last_hour, last_ms, status, remedy }) => [
      place,
      count,
      last_hour,
      last_ms,
      status,
      remedy !== "",
    ]),
    [
      ["o", 6, 2, 9, 503, true],
      ["clients", 3, 1, 5, null, false],
    ],
  );
});
