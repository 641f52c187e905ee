import assert from "node:assert/strict";
import { test } from "node:test";
import { KiB } from "../../../src/base/units.ts";
import type { ChunkKey } from "../../../src/store/chunk-store.ts";
import { ReplicatedFixture, type ReplicatedFixtureOptions } from "../../support/replicated-fixture.ts";

/** Replicas whose clients have read `objects` objects of one chunk each, through one after the other. */
async function warmed(objects: number, options: ReplicatedFixtureOptions = {}) {
  const cluster = new ReplicatedFixture(options);
  const keys: ChunkKey[] = [];
  const replicas = [...cluster.replicas.values()];
  for (let index = 0; index < objects; index += 1) {
    const version = cluster.version(`key-${index}`, KiB);
    keys.push({ version, index: 0 });
    await cluster.read(replicas[index % replicas.length] as (typeof replicas)[number], version);
  }
  await cluster.quiet();
  return { cluster, keys };
}

/**
 * Waits for a round on all replicas, for the pulls that it starts, and for one more round: a pull is a use of the chunk
 * at its sender, so an extra copy that was pulled from is marked again by the next round.
 */
async function settled(cluster: ReplicatedFixture): Promise<void> {
  for (const milliseconds of [60_000, 15 * 60_000]) {
    await cluster.clock.advance(milliseconds);
    await cluster.quiet();
  }
}

test("Replication: every chunk is on exactly two disks in the end, and cost one origin GET", async () => {
  const { cluster, keys } = await warmed(60);
  assert.deepEqual(new Set(keys.map((key) => cluster.copiesOf(key))), new Set([2]));
  assert.equal(cluster.origin.reads.length, 60);
  for (const key of keys) {
    const [first, second] = cluster.ranked(key);
    assert.ok(first?.disk.presence(key) === "held" && second?.disk.presence(key) === "held");
  }
  const announced = [...cluster.replicas.values()].map(({ replication }) => replication.stats.announced);
  assert.equal(
    announced.reduce((total, count) => total + count, 0),
    60,
  );
});

test("Replication: a member that returns with an empty disk has its chunks again, without an origin GET", async () => {
  const { cluster, keys } = await warmed(60);
  for (const { antiEntropy } of cluster.replicas.values()) antiEntropy.start();
  cluster.kill("r1");
  for (const key of keys) await cluster.read(cluster.get("r0"), key.version);
  const back = cluster.join("r1");
  back.antiEntropy.start();
  for (const key of keys) await cluster.read(back, key.version);
  await settled(cluster);
  assert.equal(cluster.origin.reads.length, 60);
  assert.equal(cluster.assertCopies(keys), 0, "nothing was copied while it was away");
  await cluster.stop();
});

test("Replication: when a member leaves for good, its chunks are copied again", async () => {
  const { cluster, keys } = await warmed(60, { replicas: 4 });
  for (const { antiEntropy } of cluster.replicas.values()) antiEntropy.start();
  cluster.kill("r2");
  await settled(cluster);
  assert.deepEqual(new Set(keys.map((key) => cluster.copiesOf(key))), new Set([2]));
  assert.equal(cluster.origin.reads.length, 60);
  await cluster.stop();
});

test("Replication: a fourth that joins pulls no more than its share, and the others mark the copies that it took over", async () => {
  const objects = 200;
  const { cluster, keys } = await warmed(objects);
  for (const { antiEntropy } of cluster.replicas.values()) antiEntropy.start();
  const fourth = cluster.join("r3");
  fourth.antiEntropy.start();
  await settled(cluster);
  const { pulled, pulledBytes } = fourth.puller.stats;
  const keptByIt = keys.filter((key) => fourth.keepers.isKeptHere(key.version.chunkPath(0))).length;
  assert.equal(pulled, keptByIt);
  assert.equal(pulledBytes, keptByIt * KiB);
  // Two copies of 200 over four replicas is 100 each.
  assert.ok(pulled <= ((objects * 2) / 4) * 1.1, `${pulled} of ${objects} chunks were moved`);
  const moved = ["r0", "r1", "r2"].map((id) => cluster.get(id).puller.stats);
  assert.deepEqual(
    moved.map((stats) => stats.pulled),
    (await warmed(objects)).cluster.replicas
      .values()
      .toArray()
      .map(({ puller }) => puller.stats.pulled),
    "nothing moved between the three",
  );
  assert.equal(cluster.assertCopies(keys), keptByIt, "each copy that it took over is an extra one elsewhere");
  assert.equal(cluster.origin.reads.length, objects);
  for (const key of keys) await cluster.read(fourth, key.version);
  assert.equal(cluster.origin.reads.length, objects);
  await cluster.stop();
});

test("Replication: a member away for long leaves an extra copy of each chunk that the others copied", async () => {
  const { cluster, keys } = await warmed(60);
  for (const { antiEntropy } of cluster.replicas.values()) antiEntropy.start();
  const { disk, keepers } = cluster.get("r1");
  const keptByIt = keys.filter((key) => keepers.isKeptHere(key.version.chunkPath(0))).length;
  cluster.kill("r1");
  await settled(cluster);
  assert.equal(cluster.assertCopies(keys), 0, "the two others keep everything");
  cluster.join("r1", disk).antiEntropy.start();
  await settled(cluster);
  assert.equal(cluster.assertCopies(keys), keptByIt);
  cluster.kill("r1");
  await settled(cluster);
  assert.equal(cluster.assertCopies(keys), 0, "and the marks are removed where the copies are needed again");
  assert.equal(cluster.origin.reads.length, 60);
  await cluster.stop();
});

test("Replication: anti-entropy repairs lost announcements", async () => {
  const cluster = new ReplicatedFixture();
  cluster.deaf = true;
  const keys = Array.from({ length: 20 }, (_, index) => ({
    version: cluster.version(`k${index}`, KiB),
    index: 0,
  }));
  for (const key of keys) await cluster.read(cluster.get("r0"), key.version);
  assert.deepEqual(new Set(keys.map((key) => cluster.copiesOf(key))), new Set([1]));
  for (const { antiEntropy } of cluster.replicas.values()) antiEntropy.start();
  await settled(cluster);
  assert.deepEqual(new Set(keys.map((key) => cluster.copiesOf(key))), new Set([2]));
  await cluster.stop();
});

test("Replication: an announced chunk is not pulled by a replica that does not keep it, or holds it", async () => {
  const { cluster, keys } = await warmed(1);
  const [key] = keys as [ChunkKey];
  const [first, second, third] = cluster.ranked(key);
  const before = second?.replication.stats.heard;
  first?.replication.stored(key);
  third?.replication.heard(key);
  await cluster.quiet();
  assert.equal(second?.replication.stats.heard, (before ?? 0) + 1);
  assert.deepEqual([third?.replication.stats.heard, third?.replication.stats.wanted], [1, 0]);
  assert.equal(cluster.copiesOf(key), 2);
});

test("Replication: a member that returns with its disk pulls only the chunks that it missed", async () => {
  const { cluster, keys } = await warmed(40);
  for (const { antiEntropy } of cluster.replicas.values()) antiEntropy.start();
  const { disk } = cluster.get("r1");
  cluster.kill("r1");
  const fresh = Array.from({ length: 20 }, (_, index) => ({
    version: cluster.version(`n${index}`, KiB),
    index: 0,
  }));
  for (const key of fresh) await cluster.read(cluster.get("r0"), key.version);
  const back = cluster.join("r1", disk);
  back.antiEntropy.start();
  await settled(cluster);
  const missed = fresh.filter((key) => back.keepers.isKeptHere(key.version.chunkPath(0))).length;
  assert.equal(back.puller.stats.pulled, missed);
  assert.equal(
    cluster.assertCopies([...keys, ...fresh]),
    missed,
    "one extra copy of each chunk that it missed",
  );
  assert.equal(cluster.origin.reads.length, 60);
  await cluster.stop();
});
