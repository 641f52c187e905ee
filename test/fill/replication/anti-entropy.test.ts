import assert from "node:assert/strict";
import { test } from "node:test";
import { OrcaError } from "../../../src/base/orca-error.ts";
import { KiB } from "../../../src/base/units.ts";
import type { ChunkKey } from "../../../src/store/chunk-store.ts";
import { patternBytes } from "../../support/pattern.ts";
import {
  ReplicatedFixture,
  type ReplicatedFixtureOptions,
  type ReplicatedReplica,
} from "../../support/replicated-fixture.ts";

const debounceMs = 10_000;
const restMs = 50;

/** r1 holds `chunks` chunks; r0, which should hold them all, holds none. */
function roundFixture(chunks: number, options: ReplicatedFixtureOptions = {}) {
  const cluster = new ReplicatedFixture({
    replicas: 2,
    copies: 2,
    antiEntropy: { pageChunks: 128 },
    ...options,
  });
  const keys: ChunkKey[] = Array.from({ length: chunks }, (_, index) => ({
    version: cluster.version(`key-${index}`, KiB),
    index: 0,
  }));
  const [replica, peer] = [cluster.get("r0"), cluster.get("r1")];
  for (const key of keys) peer.disk.hold(key, patternBytes(1, 0, KiB));
  replica.antiEntropy.start();
  return { cluster, keys, replica, peer };
}

test("AntiEntropy: a round pulls what is missing, shows its progress, and logs the beginning and the end of the repair", async () => {
  const { cluster, keys, replica } = roundFixture(300);
  for (const key of keys.slice(0, 100)) replica.disk.hold(key, patternBytes(1, 0, KiB));
  await cluster.clock.advance(debounceMs);
  const { stats } = replica.antiEntropy;
  // The page lists 128 chunks. It skips 35 in shelves of which this replica holds all.
  assert.deepEqual([stats.running, stats.compared, stats.total], [1, 128 + 35, 300]);
  await cluster.clock.advance(10 * restMs);
  await cluster.quiet();
  assert.deepEqual([stats.rounds, stats.running, stats.compared, stats.missing], [1, 0, 300, 200]);
  assert.equal(replica.disk.chunkCount, 300);
  assert.deepEqual(
    cluster.pages.map(({ to, request }) => [to, request.chunksMax, request.keptBy]),
    [
      ["r1", 128, "r0"],
      ["r1", 128, "r0"],
    ],
  );
  assert.deepEqual(
    cluster.logger.events.map(({ level, fields, message }) => [level, fields, message.split(":")[0]]),
    [
      ["info", {}, "Restoring copies"],
      [
        "info",
        { compared: 300, missing: 200, unfit: 0, peersFailed: 0, extraCopies: 0 },
        "Compared this replica's disk with those of its peers",
      ],
      ["info", { pulled: 200, bytes: 200 * KiB, failed: 0, notStored: 0, seconds: 0 }, "Restored copies"],
    ],
  );
  await cluster.stop();
  assert.equal(cluster.clock.pendingTimers, 0);
});

test("AntiEntropy: a missing chunk that two peers hold counts once", async () => {
  const { cluster, keys, replica } = roundFixture(50, { replicas: 3, copies: 3 });
  for (const key of keys) cluster.get("r2").disk.hold(key, patternBytes(1, 0, KiB));
  for (const id of ["r1", "r2"]) cluster.network.blackHoles.add(id);
  await cluster.clock.advance(debounceMs + 10 * restMs);
  const { stats } = replica.antiEntropy;
  assert.deepEqual([stats.rounds, stats.compared, stats.missing], [1, 100, 50]);
  cluster.network.blackHoles.clear();
  await cluster.clock.advance(30_000);
  await cluster.quiet();
  assert.equal(replica.disk.chunkCount, 50);
  await cluster.stop();
});

test("AntiEntropy: it waits while the puller's queue is more than 80 % full", async () => {
  const { cluster, replica, peer } = roundFixture(100, { puller: { queueMax: 10 } });
  cluster.network.blackHoles.add(peer.id);
  await cluster.clock.advance(debounceMs + 20 * restMs);
  // Four run; nine waiting are more than eight.
  assert.deepEqual([replica.puller.running, replica.puller.waiting], [4, 9]);
  assert.deepEqual([replica.antiEntropy.stats.missing, replica.puller.stats.dropped], [13, 0]);
  cluster.network.blackHoles.clear();
  await cluster.clock.advance(30_000);
  await cluster.quiet();
  assert.deepEqual([replica.puller.stats.pulled, replica.puller.stats.dropped], [100, 0]);
  assert.equal(replica.antiEntropy.stats.rounds, 1);
  await cluster.stop();
});

test("AntiEntropy: a page that fails is asked for again, and the round continues from there", async () => {
  const { cluster, replica } = roundFixture(300);
  let faults = 2;
  cluster.onPage = (_from, _to, { after }) => {
    if (after === "" || faults === 0) return;
    faults -= 1;
    throw new OrcaError("peer_unavailable", "mesh", "it is silent");
  };
  await cluster.clock.advance(debounceMs + 60_000);
  await cluster.quiet();
  const tokens = cluster.pages.map(({ request }) => request.after);
  assert.equal(tokens.length, 5);
  assert.deepEqual([tokens[1], tokens[2]], [tokens[2], tokens[3]]);
  assert.deepEqual([replica.antiEntropy.stats.compared, replica.disk.chunkCount], [300, 300]);
  assert.equal(replica.antiEntropy.stats.peersFailed, 0);
  await cluster.stop();
});

test("AntiEntropy: a peer that fails three times in a row is skipped, and the next round comes sooner", async () => {
  const { cluster, replica } = roundFixture(1);
  let pages = 0;
  cluster.onPage = () => {
    pages += 1;
    throw new OrcaError("peer_unavailable", "mesh", "it is silent");
  };
  await cluster.clock.advance(debounceMs + 1500);
  assert.deepEqual(
    [pages, replica.antiEntropy.stats.rounds, replica.antiEntropy.stats.peersFailed],
    [3, 1, 1],
  );
  await cluster.clock.advance(30_000 + 1500);
  assert.deepEqual([pages, replica.antiEntropy.stats.rounds], [6, 2]);
  await cluster.clock.advance(30_000 + 1500);
  assert.equal(pages, 6, "twice as long the second time");
  await cluster.stop();
});

test("AntiEntropy: a peer that sends the same page again is at fault, and is skipped", async () => {
  const { cluster, replica, peer } = roundFixture(1);
  const path = cluster.version("key").chunkPath(0);
  peer.inventory.compare = async () => ({
    paths: [],
    chunks: undefined,
    extra: undefined,
    nextAfter: path,
    passed: 1,
    total: 1,
  });
  await cluster.clock.advance(debounceMs + 20_000);
  assert.deepEqual(
    cluster.pages.map(({ request }) => request.after),
    ["", path, path, path],
  );
  const { rounds, running, peersFailed } = replica.antiEntropy.stats;
  assert.deepEqual([rounds, running, peersFailed], [1, 0, 1]);
  await cluster.stop();
});

test("AntiEntropy: changes of members that follow one another cause one round, and the same members none", async () => {
  const { cluster, replica } = roundFixture(1);
  await cluster.clock.advance(debounceMs + restMs);
  assert.equal(replica.antiEntropy.stats.rounds, 1);
  replica.antiEntropy.membersChanged();
  await cluster.clock.advance(debounceMs + restMs);
  assert.equal(replica.antiEntropy.stats.rounds, 1, "the same members");
  cluster.join("r2");
  await cluster.clock.advance(debounceMs - 1);
  cluster.join("r3");
  await cluster.clock.advance(debounceMs - 1);
  assert.equal(replica.antiEntropy.stats.rounds, 1);
  await cluster.clock.advance(1);
  await cluster.clock.advance(3 * restMs);
  assert.equal(replica.antiEntropy.stats.rounds, 2);
  await cluster.stop();
});

test("AntiEntropy: a change of members during a round causes another round", async () => {
  const { cluster, replica } = roundFixture(300);
  await cluster.clock.advance(debounceMs);
  cluster.join("r2");
  await cluster.clock.advance(10 * restMs);
  assert.equal(replica.antiEntropy.stats.rounds, 1);
  await cluster.clock.advance(debounceMs + 10 * restMs);
  assert.equal(replica.antiEntropy.stats.rounds, 2);
  await cluster.stop();
});

test("AntiEntropy: while nothing changes there is a round every 15 minutes", async () => {
  const { cluster, replica } = roundFixture(1);
  await cluster.clock.advance(debounceMs + restMs);
  await cluster.clock.advance(15 * 60_000 - 1);
  assert.equal(replica.antiEntropy.stats.rounds, 1);
  await cluster.clock.advance(1);
  await cluster.clock.advance(restMs);
  assert.equal(replica.antiEntropy.stats.rounds, 2);
  await cluster.stop();
});

test("AntiEntropy: it uses free room only", async () => {
  const { cluster, replica } = roundFixture(20);
  replica.disk.spareBytes = KiB - 1;
  await cluster.clock.advance(debounceMs + restMs);
  await cluster.quiet();
  assert.deepEqual([replica.antiEntropy.stats.missing, replica.antiEntropy.stats.unfit], [20, 20]);
  assert.equal(replica.puller.stats.queued, 0);
  await cluster.stop();
});

for (const [when, advanceMs] of [
  ["before it begins", 0],
  ["while it rests", debounceMs],
  ["between two rounds", debounceMs + 60_000],
] as const) {
  test(`AntiEntropy: a stop ${when} leaves no timer`, async () => {
    const { cluster, replica } = roundFixture(300);
    await cluster.clock.advance(advanceMs);
    await replica.antiEntropy.stop();
    await replica.puller.stop();
    assert.equal(cluster.clock.pendingTimers, 0);
    replica.antiEntropy.start();
    cluster.join("r9");
    assert.equal(cluster.clock.pendingTimers, 0);
  });
}

test("AntiEntropy: a stop does not wait for a silent peer", async () => {
  const { cluster, replica } = roundFixture(1);
  const silent = cluster.get("r1").inventory;
  silent.compare = () => new Promise(() => {});
  await cluster.clock.advance(debounceMs);
  await replica.antiEntropy.stop();
  assert.equal(replica.antiEntropy.stats.running, 0);
});

/** Three replicas that all hold a chunk: its two keepers, and one whose copy is an extra one. */
function extraCopyFixture() {
  const cluster = new ReplicatedFixture({ replicas: 3 });
  const key: ChunkKey = { version: cluster.version("k", KiB), index: 0 };
  const [first, second, other] = cluster.ranked(key) as [
    ReplicatedReplica,
    ReplicatedReplica,
    ReplicatedReplica,
  ];
  const path = key.version.chunkPath(0);
  for (const { disk, antiEntropy } of [first, second, other]) {
    disk.hold(key, patternBytes(1, 0, KiB));
    antiEntropy.start();
  }
  return { cluster, key, path, first, second, other };
}

test("AntiEntropy: a round marks the extra copies, counts them, and asks no peer about them", async () => {
  const { cluster, path, first, second, other } = extraCopyFixture();
  await cluster.clock.advance(debounceMs + 1000);
  assert.deepEqual([...other.disk.firstToGo], [path]);
  for (const keeper of [first, second]) assert.equal(keeper.disk.firstToGo.size, 0);
  assert.deepEqual(
    [first, second, other].map(({ antiEntropy }) => antiEntropy.stats.extraCopies),
    [0, 0, 1],
  );
  // One page from each of the others is all that each replica asked for.
  assert.equal(cluster.pages.length, 6);
  await cluster.stop();
});

test("AntiEntropy: an extra copy stays, whether the keepers hold theirs, lack them or do not answer", async () => {
  const { cluster, key, path, first, second, other } = extraCopyFixture();
  first.disk.chunks.delete(path);
  cluster.onPage = (_from, to) => {
    if (to === second.id) throw new OrcaError("peer_unavailable", "mesh", "it is silent");
  };
  await cluster.clock.advance(debounceMs + 1000);
  cluster.onPage = () => {};
  await cluster.clock.advance(10 * 60_000);
  await cluster.quiet();
  assert.equal(first.disk.presence(key), "held", "it was pulled");
  assert.equal(other.disk.presence(key), "held");
  assert.equal(cluster.copiesOf(key), 3);
  await cluster.stop();
});

test("AntiEntropy: a use removes the mark, and the next round sets it again", async () => {
  const { cluster, key, path, other } = extraCopyFixture();
  await cluster.clock.advance(debounceMs + 1000);
  await other.disk.readBlock(key, 0, Buffer.alloc(KiB));
  assert.ok(!other.disk.firstToGo.has(path));
  await cluster.clock.advance(15 * 60_000);
  assert.ok(other.disk.firstToGo.has(path));
  await cluster.stop();
});

test("AntiEntropy: where a change of members makes this replica a keeper again, the round removes the mark", async () => {
  const { cluster, path, first, other } = extraCopyFixture();
  await cluster.clock.advance(debounceMs + 1000);
  assert.equal(other.antiEntropy.stats.extraCopies, 1);
  cluster.kill(first.id);
  await cluster.clock.advance(debounceMs + 1000);
  assert.ok(!other.disk.firstToGo.has(path));
  assert.equal(other.antiEntropy.stats.extraCopies, 0);
  await cluster.stop();
});

test("AntiEntropy: a stop while it marks ends the round", async () => {
  const { cluster, other } = extraCopyFixture();
  const stopping = Promise.withResolvers<void>();
  const { disk, antiEntropy } = other;
  disk.evictFirst = () => stopping.resolve(antiEntropy.stop());
  await cluster.clock.advance(debounceMs);
  await stopping.promise;
  const { rounds, running } = antiEntropy.stats;
  assert.deepEqual([rounds, running], [0, 0]);
  assert.ok(cluster.pages.every(({ from }) => from !== other.id));
  await cluster.stop();
  assert.equal(cluster.clock.pendingTimers, 0);
});

test("AntiEntropy: queued pulls count against the free room, so that a round evicts nothing", async () => {
  const cluster = new ReplicatedFixture({ replicas: 2, copies: 2 });
  const [replica, peer] = [cluster.get("r0"), cluster.get("r1")];
  for (let number = 0; number < 100; number += 1) {
    peer.disk.hold({ version: cluster.version(`key-${number}`, KiB), index: 0 }, patternBytes(1, 0, KiB));
  }
  // Room for two. No pull ends, so none of it is used yet.
  replica.disk.spareBytes = 2 * KiB;
  cluster.network.blackHoles.add(peer.id);
  replica.antiEntropy.start();
  await cluster.clock.advance(11_000);
  assert.equal(replica.puller.stats.queued, 2);
  await cluster.stop();
});

test("AntiEntropy.chunkLost: chunks lost after a round are pulled within a minute, not only in the next regular round", async () => {
  const { cluster, replica, keys } = roundFixture(3);
  replica.antiEntropy.start();
  await cluster.clock.advance(debounceMs + 10 * restMs);
  await cluster.quiet();
  assert.equal(replica.disk.chunkCount, 3);
  const [lost] = keys as [ChunkKey];
  await replica.disk.delete(lost);
  replica.antiEntropy.chunkLost();
  replica.antiEntropy.chunkLost();
  await cluster.clock.advance(30_000 + 10 * restMs);
  await cluster.quiet();
  assert.equal(replica.disk.chunkCount, 3);
  assert.equal(replica.antiEntropy.stats.rounds, 2);
  await cluster.stop();
});
