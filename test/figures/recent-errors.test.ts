import assert from "node:assert/strict";
import { test } from "node:test";
import { RecentErrors } from "../../src/figures/recent-errors.ts";

const minute = 60_000;

test("RecentErrors: tells those of the last hour from all, by place and code", () => {
  const errors = new RecentErrors();
  const origin = new Map([["origin_throttled", 2]]);
  const clients = new Map([["no_such_key", 0]]);
  const all = [
    { place: "o", totals: origin },
    { place: "clients", totals: clients },
  ];
  errors.sample(100 * minute, all);
  clients.set("no_such_key", 1);
  origin.set("origin_throttled", 5);
  errors.sample(130 * minute, all);
  assert.deepEqual(errors.list(), [
    { place: "o", code: "origin_throttled", count: 5, last_hour: 5, last_ms: 130 * minute },
    { place: "clients", code: "no_such_key", count: 1, last_hour: 1, last_ms: 130 * minute },
  ]);
  errors.sample(160 * minute, all);
  assert.deepEqual(
    errors.list().map(({ count, last_hour }) => [count, last_hour]),
    [
      [5, 3],
      [1, 1],
    ],
  );
  errors.sample(400 * minute, all);
  assert.deepEqual(
    errors.list().map(({ count, last_hour }) => [count, last_hour]),
    [
      [5, 0],
      [1, 0],
    ],
  );
});
