import assert from "node:assert/strict";
import { test } from "node:test";
import { StaleMarkers, spreadMs, spreadTtlMs } from "../../../src/object/freshness/stale-markers.ts";
import { FakeClock } from "../../support/fake-clock.ts";

const ttlMs = 300_000;

test("StaleMarkers: a stale ETag is sent until a question that carried it is answered", () => {
  const staleMarkers = new StaleMarkers(new FakeClock(), 10);
  assert.equal(staleMarkers.staleEtag("a"), "");
  staleMarkers.foundStale("a", "v1", ttlMs);
  staleMarkers.answered("a", "v0");
  assert.equal(staleMarkers.staleEtag("a"), "v1");
  staleMarkers.answered("a", "v1");
  assert.equal(staleMarkers.staleEtag("a"), "");
  assert.equal(staleMarkers.size, 0);
});

test("StaleMarkers: until an invalidation has spread, answers of other replicas are cached briefly, whatever ETag is stale", async () => {
  const clock = new FakeClock();
  const staleMarkers = new StaleMarkers(clock, 10);
  assert.equal(staleMarkers.ttlMaxMs("a"), Number.POSITIVE_INFINITY);
  staleMarkers.invalidated("a");
  staleMarkers.foundStale("a", "v1", ttlMs);
  await clock.advance(1000);
  assert.equal(staleMarkers.ttlMaxMs("a"), spreadTtlMs);
  staleMarkers.answered("a", "v1");
  assert.equal(staleMarkers.ttlMaxMs("a"), spreadTtlMs);
  await clock.advance(spreadMs - 1100);
  assert.equal(staleMarkers.ttlMaxMs("a"), 100);
  await clock.advance(100);
  assert.equal(staleMarkers.ttlMaxMs("a"), Number.POSITIVE_INFINITY);
});

test("StaleMarkers: beyond entriesMax the oldest marker is evicted", () => {
  const staleMarkers = new StaleMarkers(new FakeClock(), 2);
  for (const name of ["a", "b", "c"]) staleMarkers.foundStale(name, "v1", ttlMs);
  assert.equal(staleMarkers.size, 2);
  assert.equal(staleMarkers.staleEtag("a"), "");
  assert.equal(staleMarkers.staleEtag("c"), "v1");
});

test("StaleMarkers: a stale ETag is sent for one TTL, because after that no replica can have it cached", async () => {
  const clock = new FakeClock();
  const staleMarkers = new StaleMarkers(clock, 10);
  staleMarkers.foundStale("a", "v1", ttlMs);
  await clock.advance(ttlMs - 1);
  assert.equal(staleMarkers.staleEtag("a"), "v1");
  await clock.advance(1);
  assert.equal(staleMarkers.staleEtag("a"), "");
});
