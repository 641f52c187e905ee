import assert from "node:assert/strict";
import { test } from "node:test";
import { believedMs, StaleMarkers, spreadMs } from "../../src/object/stale-markers.ts";
import { FakeClock } from "../support/fake-clock.ts";

const ttlMs = 300_000;

test("Doubts: a stale ETag is told until somebody has answered who was told of it", () => {
  const staleMarkers = new StaleMarkers(new FakeClock(), 10, ttlMs);
  assert.equal(staleMarkers.staleEtag("a"), "");
  staleMarkers.foundStale("a", "v1");
  staleMarkers.answered("a", "v0");
  assert.equal(staleMarkers.staleEtag("a"), "v1");
  staleMarkers.answered("a", "v1");
  assert.equal(staleMarkers.staleEtag("a"), "");
  assert.equal(staleMarkers.size, 0);
});

test("Doubts: after an invalidation others are believed for a short time until it has spread, whatever ETag was stale", async () => {
  const clock = new FakeClock();
  const staleMarkers = new StaleMarkers(clock, 10, ttlMs);
  assert.equal(staleMarkers.believedMs("a"), Number.POSITIVE_INFINITY);
  staleMarkers.invalidated("a");
  staleMarkers.foundStale("a", "v1");
  await clock.advance(1000);
  assert.equal(staleMarkers.believedMs("a"), believedMs);
  staleMarkers.answered("a", "v1");
  assert.equal(staleMarkers.believedMs("a"), believedMs);
  await clock.advance(spreadMs - 1100);
  assert.equal(staleMarkers.believedMs("a"), 100);
  await clock.advance(100);
  assert.equal(staleMarkers.believedMs("a"), Number.POSITIVE_INFINITY);
});

test("Doubts: past entriesMax the oldest staleMarker goes", () => {
  const staleMarkers = new StaleMarkers(new FakeClock(), 2, ttlMs);
  for (const name of ["a", "b", "c"]) staleMarkers.foundStale(name, "v1");
  assert.equal(staleMarkers.size, 2);
  assert.equal(staleMarkers.staleEtag("a"), "");
  assert.equal(staleMarkers.staleEtag("c"), "v1");
});

test("Doubts: a stale ETag is told for one TTL, because after that nobody can keep it any more", async () => {
  const clock = new FakeClock();
  const staleMarkers = new StaleMarkers(clock, 10, ttlMs);
  staleMarkers.foundStale("a", "v1");
  await clock.advance(ttlMs - 1);
  assert.equal(staleMarkers.staleEtag("a"), "v1");
  await clock.advance(1);
  assert.equal(staleMarkers.staleEtag("a"), "");
});
