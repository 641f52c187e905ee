/** The answer of `/figures` of a cluster of two, of which one does not answer. */
import type { ClusterFiguresDocument } from "../../../src/ops/figures/cluster-figures.ts";
import { explainedErrors, totalsOf } from "../../../src/ops/figures/figure-totals.ts";
import { figuresOf, originFigures } from "../../ops/figures/figures-of.ts";

const minuteMs = 60_000;

export function clusterFiguresOf(): ClusterFiguresDocument {
  const replica = figuresOf("r1", {
    version: "0.1.0",
    zone: "z",
    started_ms: 0,
    served_bytes: 4096,
    origin_bytes: 1024,
    requests: 4,
    sources: { memory: { bytes: 3072, requests: 3 }, origin: { bytes: 1024, requests: 1 } },
    first_byte: [{ bound_ms: 0.25, count: 3 }, { count: 1 }],
    tiers: [
      { tier: "memory", chunks: 1, used_bytes: 1024, max_bytes: 4096, evictions: 2 },
      { tier: "cachestore", chunks: 7, used_bytes: 0, evictions: 0 },
    ],
    fills: { flights: 1, relays: 2 },
    origins: [
      { ...originFigures(3e9, 1e9, 0.5), requests_in_flight: 3, requests_max: 8, throttle_part: 0.7 },
    ],
    cachestore: { driver: "s3", breaker: "open", hints: 7, hits: 0, misses: 0, bytes_read: 0, stored: 0 },
    notices: { disk: "it hangs" },
    errors: [
      { place: "o", code: "origin_throttled", count: 5, last_hour: 2, last_ms: 1 },
      { place: "clients", code: "no_such_key", count: 9, last_hour: 0, last_ms: 1 },
    ],
  });
  const { history: _history, hot_objects: _hot, errors: _errors, ...shown } = replica;
  const member = { zone: "z", state: "alive" as const, share: 0.5, address: "" };
  return {
    replica_id: "r1",
    at_ms: 150 * minuteMs,
    members: [
      { ...member, replica_id: "r1", self: true },
      { ...member, replica_id: "r2", self: false, state: "suspect" },
    ],
    replicas: [shown],
    unreachable: [{ replica_id: "r2", reason: 'Cannot ask "r2"' }],
    totals: totalsOf([replica]),
    errors: explainedErrors([replica]),
    hot_objects: [
      { bucket: "b", key: "k\u001b[2J", requests: 42, overcount: 2, bytes: 2048 },
      { bucket: "b", key: "l", requests: 3, overcount: 0, bytes: 1024 },
    ],
    history: {
      start_ms: 0,
      slot_ms: 5000,
      served_bytes: [9e9, 10_240, 10_240, 10_240, 10_240, 10_240, 10_240],
      origin_bytes: [0, 0, 0, 0, 0, 0, 15_360],
      requests: [1, 1, 1, 1, 1, 1, 1],
    },
  };
}
