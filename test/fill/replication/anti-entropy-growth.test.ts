/** How the work of anti-entropy grows with chunks and members: by what differs, and not by what is held. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { KiB } from "../../../src/base/units.ts";
import type { ChunkKey } from "../../../src/store/chunk-store.ts";
import { patternBytes } from "../../support/pattern.ts";
import { ReplicatedFixture } from "../../support/replicated-fixture.ts";

const intervalMs = 15 * 60_000;

/** A cluster whose members all hold what they keep, after a first round. `extra` adds a copy of some on other disks. */
async function calmCluster(replicas: number, chunks: number, extra = 0) {
  const cluster = new ReplicatedFixture({ replicas, copies: 2 });
  const keys: ChunkKey[] = Array.from({ length: chunks }, (_, index) => ({
    version: cluster.version(`key-${index}`, KiB),
    index: 0,
  }));
  for (const [index, key] of keys.entries()) {
    const holders = cluster.ranked(key).slice(0, index < extra ? 3 : 2);
    for (const { disk } of holders) disk.hold(key, patternBytes(1, 0, KiB));
  }
  const all = [...cluster.replicas.values()];
  for (const { antiEntropy } of all) antiEntropy.start();
  const round = async () => {
    const before = counts();
    // The rests between peers are part of the round.
    for (let part = 0; part < 60; part += 1) await cluster.clock.advance(intervalMs / 60);
    await cluster.quiet();
    const after = counts();
    return {
      calls: after.calls - before.calls,
      named: after.named - before.named,
      ranked: after.ranked - before.ranked,
      listed: after.listed - before.listed,
      rounds: after.rounds - before.rounds,
    };
  };
  let listed = 0;
  for (const { inventory } of all) {
    const compare = inventory.compare.bind(inventory);
    inventory.compare = async (request) => {
      const page = await compare(request);
      listed += page.paths.length;
      return page;
    };
  }
  const sum = (of: (replica: (typeof all)[number]) => number) =>
    all.reduce((total, replica) => total + of(replica), 0);
  const counts = () => ({
    calls: cluster.pages.length,
    named: sum(({ inventory }) => inventory.stats.named),
    ranked: sum(({ keepers }) => keepers.stats.ranked),
    rounds: sum(({ antiEntropy }) => antiEntropy.stats.rounds),
    listed,
  });
  return { cluster, all, keys, round };
}

for (const [replicas, chunks] of [
  [3, 300],
  [3, 1200],
  [8, 300],
  [8, 1200],
] as const) {
  test(`AntiEntropy: with ${replicas} members and ${chunks} chunks, disks that agree rank each copy once, list nothing and read no file`, async () => {
    const { cluster, round } = await calmCluster(replicas, chunks);
    const first = await round();
    assert.deepEqual(
      { ranked: first.ranked, listed: first.listed, named: first.named },
      { ranked: 2 * chunks, listed: 0, named: 0 },
    );
    const second = await round();
    assert.deepEqual(second, {
      calls: replicas * (replicas - 1),
      named: 0,
      ranked: 0,
      listed: 0,
      rounds: replicas,
    });
    await cluster.stop();
  });
}

for (const chunks of [600, 2400]) {
  test(`AntiEntropy: of ${chunks} chunks, 5 that a disk lost cost 5 names and the paths of their shelves`, async () => {
    const { cluster, all, keys, round } = await calmCluster(3, chunks);
    await round();
    const [replica] = all;
    const lost = keys.filter(({ version }) => replica?.keepers.isKeptHere(version.chunkPath(0))).slice(0, 5);
    for (const key of lost) await replica?.disk.delete(key);
    const { named, ranked, listed } = await round();
    assert.deepEqual([named, ranked], [5, 0]);
    // Each of the two that compare lists the other's part of a shelf, a 256th of its chunks.
    assert.ok(listed <= 5 * 2 * Math.ceil(chunks / 256) * 2, `${listed} paths`);
    assert.ok(lost.every((key) => cluster.copiesOf(key) === 2));
    await cluster.stop();
  });
}

test("AntiEntropy: extra copies are listed once, again when they change, and in every 16th round", async () => {
  const { cluster, all, keys, round } = await calmCluster(4, 300, 40);
  assert.equal((await round()).listed, 80, "each of two keepers compares 40 extra copies");
  for (let rounds = 2; rounds <= 16; rounds += 1) assert.equal((await round()).listed, 0);
  assert.equal((await round()).listed, 80, "the 17th");
  const [key] = keys as [ChunkKey];
  const third = cluster.ranked(key)[2];
  await third?.disk.delete(key);
  const shelfOfIt = (await round()).listed;
  assert.ok(shelfOfIt <= 4, `${shelfOfIt} paths`);
  for (const { antiEntropy } of all) antiEntropy.chunkLost();
  assert.equal((await round()).listed >= 78, true, "a lost chunk makes them be compared again");
  await cluster.stop();
});

test("AntiEntropy: a chunk of which only an extra copy is left is pulled by both keepers", async () => {
  const { cluster, keys, round } = await calmCluster(4, 50, 10);
  await round();
  await round();
  const [key] = keys as [ChunkKey];
  const [first, second] = cluster.ranked(key);
  for (const replica of [first, second]) {
    await replica?.disk.delete(key);
    replica?.antiEntropy.chunkLost();
  }
  await round();
  assert.equal(cluster.copiesOf(key), 3);
  await cluster.stop();
});

test("AntiEntropy: a page of a peer of an earlier version, in another order, costs no walk over this disk", async () => {
  const { cluster, all, keys, round } = await calmCluster(3, 600);
  for (const { inventory, keepers } of all) {
    // The chunks of its list, by their hashes.
    inventory.compare = async ({ after, keptBy }) => {
      const listed = keys.map((key) => ({ key, path: key.version.chunkPath(0) }));
      const kept = listed.filter(({ path }) => keepers.isKeptHere(path) && keepers.isKeptBy(path, keptBy));
      const left = kept
        .filter(({ path }) => path > after)
        .sort((one, other) => (one.path < other.path ? -1 : 1));
      const page = left.slice(0, 64);
      const paths = page.map(({ path }) => path);
      const nextAfter = left.length > page.length ? (paths.at(-1) ?? "") : "";
      const chunks = page.map(({ key }) => key);
      return { paths, chunks, extra: undefined, nextAfter, passed: page.length, total: kept.length };
    };
  }
  let walked = 0;
  for (const { disk } of all) {
    const pathsAfter = disk.pathsAfter.bind(disk);
    disk.pathsAfter = (...parameters) => {
      const paths = pathsAfter(...parameters);
      walked += paths.length;
      return paths;
    };
  }
  const [replica] = all;
  const lost = keys.filter(({ version }) => replica?.keepers.isKeptHere(version.chunkPath(0))).slice(0, 5);
  for (const key of lost) await replica?.disk.delete(key);
  await round();
  assert.ok(lost.every((key) => cluster.copiesOf(key) === 2));
  assert.equal(walked, 2 * 600 - 5, "the survey of each disk");
  await cluster.stop();
});
