import assert from "node:assert/strict";
import { test } from "node:test";
import { OrcaError } from "../../../src/base/orca-error.ts";
import { pages } from "../../../src/base/pages.ts";
import { KiB, MiB } from "../../../src/base/units.ts";
import type { ChunkKey } from "../../../src/store/chunk-store.ts";
import { settle } from "../../support/fake-clock.ts";
import { patternBytes } from "../../support/pattern.ts";
import {
  ReplicatedFixture,
  type ReplicatedFixtureOptions,
  type ReplicatedReplica,
} from "../../support/replicated-fixture.ts";

function gone(): OrcaError {
  return new OrcaError("peer_unavailable", "mesh", "it broke off");
}

/** A chunk, the replica that should pull it, and the others in the order in which it asks them. */
function pullFixture(lengthBytes: number, options: ReplicatedFixtureOptions = {}) {
  const cluster = new ReplicatedFixture({ chunkSizeBytes: 16 * MiB, ...options });
  const key: ChunkKey = { version: cluster.version("k", lengthBytes), index: 0 };
  const [self, ...others] = cluster.ranked(key) as [ReplicatedReplica, ...ReplicatedReplica[]];
  const bytes = patternBytes(1, 0, lengthBytes);
  const [first, second] = others as [ReplicatedReplica, ReplicatedReplica];
  const hold = (...holders: ReplicatedReplica[]): void => {
    for (const { disk } of holders) disk.hold(key, Buffer.from(bytes));
  };
  /** The reads so far: replica and offset. */
  const asked = (): [string, number][] =>
    cluster.network.streams.map(({ to, request }) => [to, request.offset]);
  const isWhole = (): boolean => self.disk.chunks.get(key.version.chunkPath(0))?.equals(bytes) ?? false;
  const nothingLeft = (): void => {
    assert.deepEqual([self.disk.stagesOpen, self.budget.usedBytes], [0, 0]);
    assert.deepEqual([self.puller.waiting, self.puller.running, cluster.clock.pendingTimers], [0, 0, 0]);
  };
  return { cluster, key, self, first, second, hold, asked, isWhole, nothingLeft };
}

test("Puller: a copy comes from the best-ranked holder, range by range, and is verified", async () => {
  const { cluster, key, self, first, second, hold, asked, isWhole, nothingLeft } = pullFixture(9 * MiB + 5);
  hold(first, second);
  let usedMax = 0;
  self.disk.onAppend = () => {
    usedMax = Math.max(usedMax, self.budget.usedBytes);
  };
  assert.ok(self.puller.enqueue(key));
  await cluster.quiet();
  assert.ok(isWhole());
  assert.deepEqual(asked(), [
    [first.id, 0],
    [first.id, 4 * MiB],
    [first.id, 8 * MiB],
  ]);
  assert.equal(usedMax, 4 * MiB);
  const { pulled, pulledBytes, unverified, resumed } = self.puller.stats;
  assert.deepEqual([pulled, pulledBytes, unverified, resumed], [1, 9 * MiB + 5, 0, 0]);
  assert.equal(cluster.origin.reads.length, 0);
  nothingLeft();
});

test("Puller: the known holder is asked first where it keeps the chunk", async () => {
  const { cluster, key, self, first, second, hold, asked } = pullFixture(KiB, { copies: 3 });
  hold(first, second);
  self.puller.enqueue(key, second.self);
  await cluster.quiet();
  assert.deepEqual(asked(), [[second.id, 0]]);
});

test("Puller: a known holder with an extra copy is asked last, whatever its rank", async () => {
  const { cluster, key, self, first, second, hold, asked } = pullFixture(KiB, { replicas: 5 });
  const last = cluster.ranked(key).at(-1) as ReplicatedReplica;
  hold(first, last);
  self.puller.enqueue(key, last.self);
  await cluster.quiet();
  assert.deepEqual(asked(), [[first.id, 0]]);
  assert.equal(self.puller.stats.pulled, 1);
  self.disk.chunks.clear();
  first.disk.chunks.clear();
  self.puller.enqueue(key, last.self);
  await cluster.quiet();
  assert.deepEqual(asked().slice(1).at(-1), [last.id, 0]);
  assert.deepEqual(asked().slice(1, 3), [
    [first.id, 0],
    [second.id, 0],
  ]);
  assert.equal(self.puller.stats.pulled, 2);
});

test("Puller: the queue is bounded; chunks that do not fit are dropped and counted", async () => {
  const { cluster, self } = pullFixture(KiB, { copies: 3 });
  for (const { id } of cluster.replicas.values()) cluster.network.blackHoles.add(id);
  const wanted = Array.from({ length: 1024 + 4 + 3 }, (_, index) => ({
    version: cluster.version(`k${index}`, KiB),
    index: 0,
  }));
  const taken = wanted.filter((key) => self.puller.enqueue(key)).length;
  assert.equal(taken, 1028);
  assert.deepEqual([self.puller.running, self.puller.waiting, self.puller.load], [4, 1024, 1]);
  assert.deepEqual([self.puller.stats.queued, self.puller.stats.dropped], [1028, 3]);
  // Those that wait or run already are not lost.
  assert.ok(self.puller.enqueue(wanted[0] as ChunkKey) && self.puller.enqueue(wanted[1000] as ChunkKey));
  await settle();
  assert.equal(cluster.network.streams.length, 4);
  await self.puller.stop();
  assert.deepEqual([self.puller.running, self.puller.waiting, self.budget.usedBytes], [0, 0, 0]);
  assert.equal(self.disk.stagesOpen, 0);
  assert.equal(self.puller.enqueue(wanted[5] as ChunkKey), false);
});

test("Puller: four at once, then the one that waits longest", async () => {
  const { cluster, self, first } = pullFixture(KiB, { copies: 3 });
  const keys = Array.from({ length: 7 }, (_, index) => ({
    version: cluster.version(`k${index}`, KiB),
    index: 0,
  }));
  for (const key of keys) first.disk.hold(key, patternBytes(1, 0, KiB));
  let runningMax = 0;
  cluster.network.onSlice = () => {
    runningMax = Math.max(runningMax, self.puller.running);
  };
  for (const key of keys) self.puller.enqueue(key, first.self);
  await cluster.quiet();
  assert.deepEqual(
    cluster.network.streams.map(({ request }) => request.key.version.objectKey),
    ["k0", "k1", "k2", "k3", "k4", "k5", "k6"],
  );
  assert.deepEqual([runningMax, self.puller.stats.pulled], [4, 7]);
});

test("Puller: a candidate without the chunk is followed by the next, and where no replica holds it the pull ends", async () => {
  const { cluster, key, self, first, second, hold, asked, nothingLeft } = pullFixture(KiB);
  hold(second);
  self.puller.enqueue(key);
  await cluster.quiet();
  assert.deepEqual(asked(), [
    [first.id, 0],
    [second.id, 0],
  ]);
  assert.equal(self.puller.stats.pulled, 1);
  self.puller.enqueue({ version: cluster.version("elsewhere", KiB), index: 0 });
  const none = cluster.version("none", KiB);
  const keeper = cluster.ranked({ version: none, index: 0 })[0] as ReplicatedReplica;
  keeper.puller.enqueue({ version: none, index: 0 });
  await cluster.quiet();
  assert.deepEqual([keeper.puller.stats.missing, keeper.puller.stats.retries], [1, 0]);
  nothingLeft();
});

test("Puller: after a break the pull continues at its byte with the next candidate, and the hash with it", async () => {
  const { cluster, key, self, first, second, hold, asked, isWhole, nothingLeft } = pullFixture(3 * MiB);
  hold(first, second);
  cluster.network.onSlice = ({ to, receivedBytes }) => {
    if (to === first.id && receivedBytes >= 2 * MiB) throw gone();
  };
  self.puller.enqueue(key);
  await cluster.quiet();
  assert.ok(isWhole());
  assert.deepEqual(asked(), [
    [first.id, 0],
    [second.id, 2 * MiB],
  ]);
  assert.deepEqual([self.puller.stats.resumed, self.puller.stats.retries], [1, 0]);
  nothingLeft();
});

test("Puller: after a break in the middle of a block it continues at its byte with the same holder, after a backoff", async () => {
  const { cluster, key, self, first, second, hold, asked, isWhole, nothingLeft } = pullFixture(3 * MiB);
  hold(first);
  let breaks = 1;
  cluster.network.cutAfterBytes = (stream) =>
    stream.to === first.id && breaks-- > 0 ? MiB + 100 : undefined;
  self.puller.enqueue(key);
  await settle();
  assert.deepEqual(asked(), [
    [first.id, 0],
    [second.id, MiB + 100],
  ]);
  assert.equal(self.budget.usedBytes, 0, "no memory is held while it waits");
  await cluster.clock.advance(499);
  assert.equal(asked().length, 2);
  await cluster.clock.advance(1);
  await cluster.quiet();
  assert.deepEqual(asked().slice(2), [[first.id, MiB + 100]]);
  assert.ok(isWhole());
  assert.deepEqual([self.puller.stats.resumed, self.puller.stats.retries], [1, 1]);
  nothingLeft();
});

test("Puller: where a peer refuses the offset, the partial copy is deleted and the same peer asked from 0", async () => {
  const { cluster, key, self, first, second, hold, asked, isWhole, nothingLeft } = pullFixture(3 * MiB);
  hold(first, second);
  cluster.network.cutAfterBytes = ({ to, request }) =>
    to === first.id && request.offset === 0 ? MiB + 100 : undefined;
  cluster.network.refuses = ({ to, request }) => to === second.id && request.offset > 0;
  let stagesMax = 0;
  self.disk.onAppend = () => {
    stagesMax = Math.max(stagesMax, self.disk.stagesOpen);
  };
  self.puller.enqueue(key);
  await cluster.quiet();
  assert.ok(isWhole());
  assert.deepEqual(asked(), [
    [first.id, 0],
    [second.id, MiB + 100],
    [second.id, 0],
  ]);
  assert.equal(stagesMax, 1);
  assert.deepEqual([self.puller.stats.restarts, self.puller.stats.retries], [1, 0]);
  nothingLeft();
});

test("Puller: a peer that refuses every offset is asked from 0 once in an attempt", async () => {
  const { cluster, key, self, first, hold, asked, nothingLeft } = pullFixture(9 * MiB);
  hold(first);
  cluster.network.refuses = ({ to, request }) => to === first.id && request.offset > 0;
  self.puller.enqueue(key);
  await cluster.clock.advance(10_000);
  assert.equal(self.puller.stats.failed, 1);
  assert.ok(asked().filter(([to]) => to === first.id).length <= 12, `${asked().length} reads`);
  assert.ok(self.puller.stats.restarts >= 3);
  nothingLeft();
});

test("Puller: it fails after three attempts, 500 ms and 1 s apart", async () => {
  const { cluster, key, self, first, hold, asked, nothingLeft } = pullFixture(KiB);
  hold(first);
  const times: number[] = [];
  cluster.network.onSlice = () => {
    times.push(cluster.clock.monotonic());
    throw gone();
  };
  self.puller.enqueue(key);
  await cluster.clock.advance(10_000);
  assert.deepEqual(times, [0, 500, 1500]);
  assert.equal(asked().length, 6);
  assert.deepEqual([self.puller.stats.failed, self.puller.stats.retries], [1, 2]);
  nothingLeft();
});

test("Puller: a copy with another SHA-256 is deleted, logged, and pulled again from another replica", async () => {
  const { cluster, key, self, first, second, hold, asked, isWhole, nothingLeft } = pullFixture(5 * MiB);
  hold(first, second);
  first.disk.damage(key);
  self.puller.enqueue(key);
  await settle();
  await cluster.clock.advance(500);
  await cluster.quiet();
  assert.ok(isWhole());
  assert.deepEqual(asked(), [
    [first.id, 0],
    [first.id, 4 * MiB],
    [second.id, 0],
    [second.id, 4 * MiB],
  ]);
  assert.deepEqual([self.puller.stats.mismatches, self.puller.stats.pulled], [1, 1]);
  assert.deepEqual(
    cluster.logger.events.map(({ level, fields }) => ({ level, ...fields })),
    [{ level: "warn", chunk: key.version.chunkPath(0), senders: [first.id], see: pages.disk }],
  );
  nothingLeft();
});

test("Puller: a copy that never matches is not stored", async () => {
  const { cluster, key, self, first, hold, nothingLeft } = pullFixture(KiB);
  hold(first);
  first.disk.damage(key);
  self.puller.enqueue(key);
  await cluster.clock.advance(10_000);
  assert.deepEqual([self.puller.stats.mismatches, self.puller.stats.failed], [3, 1]);
  assert.equal(self.disk.chunks.size, 0);
  nothingLeft();
});

test("Puller: after a break after the last byte only the SHA-256 is asked for", async () => {
  const { cluster, key, self, first, second, hold, asked, isWhole } = pullFixture(3 * MiB);
  hold(first, second);
  first.disk.onDigest = () => {
    throw gone();
  };
  self.puller.enqueue(key);
  await cluster.quiet();
  assert.ok(isWhole());
  assert.deepEqual(asked(), [
    [first.id, 0],
    [second.id, 3 * MiB - 1],
  ]);
  assert.deepEqual([self.puller.stats.pulledBytes, self.puller.stats.unverified], [3 * MiB, 0]);
});

test("Puller: a copy whose sender knows no SHA-256 is stored, and counted", async () => {
  const { cluster, key, self, first, hold } = pullFixture(KiB);
  hold(first);
  first.disk.knowsDigests = false;
  self.puller.enqueue(key);
  await cluster.quiet();
  assert.deepEqual([self.puller.stats.pulled, self.puller.stats.unverified], [1, 1]);
});

test("Puller: it takes no memory while a fill waits for some", async () => {
  const { cluster, key, self, first, hold, isWhole } = pullFixture(3 * MiB, { maxBytes: 32 * MiB });
  hold(first);
  const taken = self.budget.tryReserve(32 * MiB);
  assert.ok(taken);
  const waiting = self.budget.reserve(30 * MiB, 60_000);
  self.puller.enqueue(key);
  await cluster.clock.advance(250);
  assert.deepEqual([self.puller.stats.yields, cluster.network.streams.length], [3, 0]);
  taken.release();
  const fill = await waiting;
  await cluster.clock.advance(100);
  assert.equal(cluster.network.streams.length, 0, "there is no room for a range");
  fill.release();
  await cluster.clock.advance(100);
  await cluster.quiet();
  assert.ok(isWhole());
});

test("Puller: a chunk that is here, or that other replicas keep, is not pulled", async () => {
  const { cluster, key, self, first, second, hold } = pullFixture(KiB);
  hold(self, first);
  self.puller.enqueue(key);
  second.puller.enqueue(key);
  await cluster.quiet();
  assert.deepEqual([self.puller.stats.moot, second.puller.stats.moot], [1, 1]);
  assert.equal(cluster.network.streams.length, 0);
});

test("Puller: a disk that does not store the chunk ends the pull", async () => {
  const { cluster, key, self, first, hold, nothingLeft } = pullFixture(3 * MiB);
  hold(first);
  self.disk.takesNoStages = true;
  self.puller.enqueue(key);
  await cluster.quiet();
  self.disk.takesNoStages = false;
  self.disk.takesUntil = MiB;
  self.puller.enqueue(key);
  await cluster.quiet();
  assert.deepEqual([self.puller.stats.not_stored, cluster.network.streams.length], [2, 1]);
  nothingLeft();
});

for (const [when, stopAt] of [
  ["a peer is silent", "silence"],
  ["it waits for its next attempt", "backoff"],
  ["it waits for memory", "memory"],
] as const) {
  test(`Puller: a stop while ${when} leaves nothing behind`, async () => {
    const { cluster, key, self, first, hold, nothingLeft } = pullFixture(3 * MiB);
    hold(first);
    if (stopAt === "silence") cluster.network.blackHoles.add(first.id);
    const taken = stopAt === "memory" ? self.budget.tryReserve(128 * MiB) : undefined;
    cluster.network.onSlice = () => {
      throw gone();
    };
    self.puller.enqueue(key);
    await settle();
    await self.puller.stop();
    taken?.release();
    nothingLeft();
  });
}
