import assert from "node:assert/strict";
import { test } from "node:test";
import { Histogram } from "../../../src/base/histogram.ts";
import type { ErrorCode } from "../../../src/base/orca-error.ts";
import { slotMs } from "../../../src/figures/figure-history.ts";
import { HotObjects, windowMs } from "../../../src/figures/hot-objects.ts";
import { ReplicaFiguresReader } from "../../../src/ops/figures/replica-figures-reader.ts";
import { FakeClock } from "../../support/fake-clock.ts";

function counted() {
  const memory = new Histogram();
  const edge = {
    requests: {
      get_object: new Map([[200, 5]]),
      head_object: new Map([
        [503, 2],
        [404, 1],
      ]),
    },
    firstByteSeconds: { memory, origin: new Histogram() },
    errors: new Map<ErrorCode, number>(),
    servedBytes: new Map([["o", 35]]),
  };
  const sentBytes = { memory: 30, origin: 10 };
  const origin = {
    id: "o",
    requestsInFlight: 1,
    requestsInFlightMax: 8,
    requestsWaiting: 2,
    throttle: { part: 0.7 },
    stats: {
      bytes: 12,
      errors: new Map<ErrorCode, number>(),
      requests: { get: 3, head: 1, list: 0, sub_resource: 0 },
    },
  };
  const hotObjects = new HotObjects();
  const clock = new FakeClock();
  const reader = new ReplicaFiguresReader(
    {
      replicaId: "r1",
      zone: "z",
      version: "1",
      readiness: {
        phase: "draining",
        report: () => ({
          ready: false,
          checks: { phase: "draining" },
          notices: { disk: "it hangs", a: "ok" },
        }),
      },
      edge,
      hotObjects,
      sentBytes,
      budget: { usedBytes: 4, maxBytes: 9 },
      memory: { stats: { chunks: 1, evictions: 2 } },
      disk: { usedBytes: 5, maxBytes: 6, chunkCount: 7, stats: { evictions: 8 } },
      scrub: undefined,
      cachestore: undefined,
      filler: { flightsInProgress: 3 },
      relay: undefined,
      replicated: undefined,
      origins: [{ origin, pricePerGb: 0.5 }],
    },
    clock,
  );
  return { clock, reader, memory, edge, sentBytes, origin, hotObjects };
}

test("ReplicaFiguresReader: reads what the parts count, and tells what is not ok", () => {
  const { clock, reader, memory, origin } = counted();
  memory.observe(0.0002);
  memory.observe(100);
  origin.stats.errors.set("origin_throttled", 3);
  const { history: _history, first_byte, errors, at_ms, ...figures } = reader.read();
  assert.deepEqual(figures, {
    replica_id: "r1",
    zone: "z",
    version: "1",
    phase: "draining",
    started_ms: clock.now(),
    served_bytes: 40,
    origin_bytes: 12,
    requests: 2,
    bad_answers: 2,
    sources: { memory: { bytes: 30, requests: 2 }, origin: { bytes: 10, requests: 0 } },
    tiers: [
      { tier: "memory", chunks: 1, used_bytes: 4, max_bytes: 9, evictions: 2 },
      { tier: "disk", chunks: 7, used_bytes: 5, max_bytes: 6, evictions: 8 },
    ],
    fills: { flights: 3, relays: 0 },
    origins: [
      {
        origin: "o",
        served_bytes: 35,
        origin_bytes: 12,
        requests: 4,
        requests_max: 8,
        requests_in_flight: 1,
        requests_waiting: 2,
        throttle_part: 0.7,
        price_per_gb: 0.5,
      },
    ],
    notices: { phase: "draining", disk: "it hangs" },
    hot_objects: [],
  });
  assert.equal(at_ms, clock.now());
  assert.deepEqual(
    first_byte.filter(({ count }) => count > 0),
    [{ bound_ms: 0.25, count: 1 }, { count: 1 }],
  );
  assert.deepEqual(
    errors.map(({ place, code, count, last_hour }) => [place, code, count, last_hour]),
    [["o", "origin_throttled", 3, 3]],
  );
  reader.stop();
  assert.equal(clock.pendingTimers, 0);
});

test("ReplicaFiguresReader: samples each slot, and begins a window of hot objects each five minutes", async () => {
  const { clock, reader, sentBytes, hotObjects } = counted();
  await clock.advance(slotMs);
  sentBytes.memory += 100;
  hotObjects.count(1, "b", "k", 1);
  await clock.advance(slotMs);
  assert.equal(
    reader.read().history.served_bytes.reduce((sum, bytes) => sum + bytes, 0),
    100,
  );
  assert.equal(reader.read(1).history.served_bytes.length, 1);
  await clock.advance(windowMs);
  assert.equal(reader.read().hot_objects.length, 1);
  await clock.advance(windowMs);
  assert.deepEqual(reader.read().hot_objects, []);
  reader.stop();
});
