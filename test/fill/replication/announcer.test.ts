import assert from "node:assert/strict";
import { test } from "node:test";
import { OrcaError } from "../../../src/base/orca-error.ts";
import { KiB } from "../../../src/base/units.ts";
import { Announcer, type AnnouncerSettings } from "../../../src/fill/replication/announcer.ts";
import type { ChunkKey } from "../../../src/store/chunk-store.ts";
import { ReplicatedFixture } from "../../support/replicated-fixture.ts";

const batchMs = 500;

function announcerFixture(replicas = 3, settings: Partial<AnnouncerSettings> = {}) {
  const cluster = new ReplicatedFixture({ replicas });
  const { keepers, coordination } = cluster.get("r0");
  const { announcements, clock } = cluster;
  const announcer = new Announcer({ keepers, coordination, clock, settings, ...announcements });
  /** Chunks that r0 keeps, with one other keeper each. */
  const chunks = function* (name = "key"): Generator<ChunkKey> {
    for (let index = 0; ; index += 1) {
      const key = { version: cluster.version(`${name}-${index}`, KiB), index: 0 };
      if (keepers.isKeptHere(key.version.chunkPath(0))) yield key;
    }
  };
  return { cluster, keepers, announcer, announcements, clock, chunks };
}

for (const replicas of [3, 12, 48]) {
  test(`Announcer: among ${replicas} members, a chunk is announced to its other keeper alone`, async () => {
    const { keepers, announcer, announcements, clock, chunks } = announcerFixture(replicas);
    const announced = chunks().take(200).toArray();
    for (const key of announced) announcer.announce(key);
    await clock.advance(2 * batchMs);
    assert.equal(announcer.stats.delivered, 200, "one for each chunk, however many members there are");
    assert.ok(announcer.stats.calls <= 2 * (replicas - 1), `${announcer.stats.calls} calls`);
    for (const { to, paths } of announcements.sent) {
      assert.ok(to !== "r0" && paths.every((path) => keepers.isKeptBy(path, to)));
    }
    await clock.advance(2 * batchMs);
    assert.deepEqual([clock.pendingTimers, announcer.queuedBytes], [0, 0]);
    announcer.stop();
  });
}

test("Announcer: at 100 chunks a second it loses none, and calls each peer at most twice a second", async () => {
  const { announcer, clock, chunks } = announcerFixture(10);
  const source = chunks();
  for (let tenth = 0; tenth < 600; tenth += 1) {
    for (let count = 0; count < 10; count += 1) announcer.announce(source.next().value as ChunkKey);
    await clock.advance(100);
  }
  await clock.advance(4 * batchMs);
  const { delivered, dropped, failed, calls } = announcer.stats;
  assert.deepEqual({ delivered, dropped, failed }, { delivered: 6000, dropped: 0, failed: 0 });
  assert.ok(calls <= 9 * 2 * 62, `${calls} calls`);
  announcer.stop();
});

test("Announcer: a slow peer fills its own queue alone, and what does not fit is dropped and counted", async () => {
  const { cluster, announcer, announcements, clock, chunks } = announcerFixture(3, { queuedMax: 20 });
  const answer = Promise.withResolvers<boolean>();
  announcements.onCall = (to) => (to === "r1" ? answer.promise : Promise.resolve(true));
  const keptBy = (id: string) => {
    const { keepers } = cluster.get(id);
    return chunks(id).filter(({ version }) => keepers.isKeptHere(version.chunkPath(0)));
  };
  announcer.announce(keptBy("r1").next().value as ChunkKey);
  await clock.advance(batchMs);
  for (const key of keptBy("r1").drop(1).take(50)) announcer.announce(key);
  for (const key of keptBy("r2").take(10)) announcer.announce(key);
  await clock.advance(60_000);
  assert.deepEqual([announcer.stats.delivered, announcer.stats.dropped], [10, 30]);
  assert.equal(announcements.sent.filter(({ to }) => to === "r1").length, 1, "one call at a time");
  answer.resolve(true);
  await clock.advance(2 * batchMs);
  assert.equal(announcer.stats.delivered, 10 + 1 + 20);
  announcer.stop();
});

test("Announcer: the bytes of all queues have a bound, and a call has one of count and of bytes", async () => {
  const { announcer, announcements, clock, chunks } = announcerFixture(2, { queuedBytesMax: 64 * KiB });
  const long = "k".repeat(1000);
  for (const key of chunks(long).take(100)) announcer.announce(key);
  assert.ok(announcer.queuedBytes <= 64 * KiB && announcer.queuedBytes > 60 * KiB);
  const queued = 100 - announcer.stats.dropped;
  await clock.advance(60_000);
  assert.equal(announcer.stats.delivered, queued);
  assert.ok(announcements.sent.every(({ paths }) => paths.length <= 10));
  announcements.sent.length = 0;
  for (const key of chunks("k").take(200)) announcer.announce(key);
  await clock.advance(60_000);
  const sizes = announcements.sent.map(({ paths }) => paths.length);
  assert.ok(Math.max(...sizes) <= 128);
  assert.equal(
    sizes.reduce((total, size) => total + size, 0),
    200,
  );
  assert.equal(announcer.queuedBytes, 0);
  announcer.stop();
});

test("Announcer: to a peer of an earlier version it announces by gossip", async () => {
  const { announcer, announcements, clock, chunks } = announcerFixture(2);
  announcements.onCall = async () => false;
  for (const key of chunks().take(3)) announcer.announce(key);
  await clock.advance(batchMs);
  assert.deepEqual(announcements.gossiped, announcements.sent[0]?.paths);
  assert.deepEqual([announcements.gossiped.length, announcer.stats.delivered], [3, 0]);
  announcer.stop();
});

test("Announcer: a call that fails loses its chunks alone, and a member that is no longer live is not called", async () => {
  const { cluster, announcer, announcements, clock, chunks } = announcerFixture(3);
  announcements.onCall = async () => {
    throw new OrcaError("peer_unavailable", "mesh", "it is silent");
  };
  for (const key of chunks().take(10)) announcer.announce(key);
  await clock.advance(batchMs);
  assert.equal(announcer.stats.failed, 10);
  const calls = announcements.sent.length;
  for (const key of chunks("later").take(10)) announcer.announce(key);
  cluster.kill("r1");
  cluster.kill("r2");
  await clock.advance(4 * batchMs);
  assert.deepEqual([announcements.sent.length, announcer.queuedBytes, clock.pendingTimers], [calls, 0, 0]);
});

test("Announcer: a stop leaves no timer, and nothing is announced after it", async () => {
  const { announcer, announcements, clock, chunks } = announcerFixture();
  for (const key of chunks().take(10)) announcer.announce(key);
  announcer.stop();
  for (const key of chunks().take(10)) announcer.announce(key);
  assert.deepEqual([clock.pendingTimers, announcer.queuedBytes, announcements.sent.length], [0, 0, 0]);
});
