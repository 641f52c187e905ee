import assert from "node:assert/strict";
import { test } from "node:test";
import { believedMs, Doubts, spreadMs } from "../../src/object/doubts.ts";
import { FakeClock } from "../support/fake-clock.ts";

const ttlMs = 300_000;

test("Doubts: a stale ETag is told until somebody has answered who was told of it", () => {
  const doubts = new Doubts(new FakeClock(), 10, ttlMs);
  assert.equal(doubts.staleEtag("a"), "");
  doubts.foundStale("a", "v1");
  doubts.answered("a", "v0");
  assert.equal(doubts.staleEtag("a"), "v1");
  doubts.answered("a", "v1");
  assert.equal(doubts.staleEtag("a"), "");
  assert.equal(doubts.size, 0);
});

test("Doubts: after an invalidation others are believed for a short time until it has spread, whatever ETag was stale", async () => {
  const clock = new FakeClock();
  const doubts = new Doubts(clock, 10, ttlMs);
  assert.equal(doubts.believedMs("a"), Number.POSITIVE_INFINITY);
  doubts.invalidated("a");
  doubts.foundStale("a", "v1");
  await clock.advance(1000);
  assert.equal(doubts.believedMs("a"), believedMs);
  doubts.answered("a", "v1");
  assert.equal(doubts.believedMs("a"), believedMs);
  await clock.advance(spreadMs - 1100);
  assert.equal(doubts.believedMs("a"), 100);
  await clock.advance(100);
  assert.equal(doubts.believedMs("a"), Number.POSITIVE_INFINITY);
});

test("Doubts: past entriesMax the oldest doubt goes", () => {
  const doubts = new Doubts(new FakeClock(), 2, ttlMs);
  for (const name of ["a", "b", "c"]) doubts.foundStale(name, "v1");
  assert.equal(doubts.size, 2);
  assert.equal(doubts.staleEtag("a"), "");
  assert.equal(doubts.staleEtag("c"), "v1");
});

test("Doubts: a stale ETag is told for one TTL, because after that nobody can keep it any more", async () => {
  const clock = new FakeClock();
  const doubts = new Doubts(clock, 10, ttlMs);
  doubts.foundStale("a", "v1");
  await clock.advance(ttlMs - 1);
  assert.equal(doubts.staleEtag("a"), "v1");
  await clock.advance(1);
  assert.equal(doubts.staleEtag("a"), "");
});
