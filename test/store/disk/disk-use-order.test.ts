import assert from "node:assert/strict";
import { mkdirSync, statSync, utimesSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { test } from "node:test";
import fc from "fast-check";
import { KiB } from "../../../src/base/units.ts";
import type { ChunkKey } from "../../../src/store/chunk-store.ts";
import { DiskIndex } from "../../../src/store/disk/disk-index.ts";
import type { DiskTier } from "../../../src/store/disk/disk-tier.ts";
import { ScanOrder, sortedRows } from "../../../src/store/disk/scan-order.ts";
import { until } from "../../support/until.ts";
import { diskCriteria } from "./disk-criteria.ts";
import { type DiskFixture, FifoPolicy, keyOf, newTuned, readBlock } from "./disk-fixture.ts";

const criterion = diskCriteria("DiskTier");
/** A second of November 2023. */
const pastS = 1_700_000_000;

function keysOf(count: number, prefix = "key"): ChunkKey[] {
  return Array.from({ length: count }, (_, index) => keyOf(`${prefix}-${index}`, KiB));
}

function heldOf(tier: DiskTier, keys: readonly ChunkKey[]): ChunkKey[] {
  return keys.filter((key) => tier.presence(key) === "held");
}

/** From 0 to 599, for the same numbers in another order. */
function ageOf(index: number): number {
  return (index * 263) % 600;
}

function writeFile(fixture: DiskFixture, key: ChunkKey, usedAtS: number): void {
  const path = fixture.pathOf(key);
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, Buffer.alloc(KiB));
  utimesSync(path, usedAtS, usedAtS);
}

function usedAtMs(fixture: DiskFixture, key: ChunkKey): number {
  return statSync(fixture.pathOf(key)).mtimeMs;
}

/** Holds exactly as many chunks as were found, so that each commit evicts one. */
async function restart(fixture: DiskFixture, count: number): Promise<DiskTier> {
  return fixture.open({ maxChunks: count, highWatermark: 1, lowWatermark: 1, policy: newTuned });
}

criterion("after a restart, the chunks used least recently are evicted first", async (fixture) => {
  const keys = keysOf(600);
  for (const [index, key] of keys.entries()) writeFile(fixture, key, pastS + ageOf(index));
  const tier = await restart(fixture, 600);
  for (const key of keysOf(50, "new")) assert.equal(await fixture.put(tier, key), "stored");
  assert.deepEqual(
    heldOf(tier, keys),
    keys.filter((_, index) => ageOf(index) >= 50),
  );
});

criterion(
  "after a restart, chunks that arrived last and were not used go before old favourites",
  async (fixture) => {
    const [favourites, arrivals] = [keysOf(50, "favourite"), keysOf(50, "arrival")];
    for (const [index, key] of favourites.entries()) writeFile(fixture, key, pastS + index);
    for (const [index, key] of arrivals.entries()) writeFile(fixture, key, pastS + 1000 + index + 0.25);
    const tier = await restart(fixture, 100);
    const written = keysOf(40, "new");
    for (const key of written) assert.equal(await fixture.put(tier, key), "stored");
    assert.deepEqual(heldOf(tier, favourites), favourites);
    assert.deepEqual(heldOf(tier, arrivals), arrivals.slice(40));
  },
);

criterion("a use is noted in the file after a while, once an hour at most", async (fixture) => {
  const tier = await fixture.open();
  const [used, unused] = keysOf(2) as [ChunkKey, ChunkKey];
  for (const key of [used, unused]) await fixture.put(tier, key);
  const before = usedAtMs(fixture, unused);
  assert.ok(await readBlock(tier, used));
  assert.ok(await readBlock(tier, used));
  assert.equal(fixture.clock.pendingTimers, 1);
  await fixture.clock.advance(5000);
  const firstMs = Math.floor(fixture.clock.now() / 1000) * 1000;
  await until(() => usedAtMs(fixture, used) === firstMs);
  assert.ok(await readBlock(tier, used));
  assert.equal(fixture.clock.pendingTimers, 0, "it was marked in this hour");
  await fixture.clock.advance(3_600_000);
  assert.ok(await readBlock(tier, used));
  await fixture.clock.advance(5000);
  await until(() => usedAtMs(fixture, used) > firstMs);
  assert.equal(usedAtMs(fixture, unused), before);
});

criterion("a use just before an orderly stop is noted", async (fixture) => {
  const tier = await fixture.open();
  const [key] = keysOf(1) as [ChunkKey];
  await fixture.put(tier, key);
  assert.ok(await readBlock(tier, key));
  await tier.close(60_000);
  assert.equal(usedAtMs(fixture, key), Math.floor(fixture.clock.now() / 1000) * 1000);
});

criterion("a chunk that is read, deleted or marked while the scan waits has one place", async (fixture) => {
  const first = await fixture.open();
  const keys = keysOf(40);
  for (const key of keys) await fixture.put(first, key);
  await first.close(60_000);
  const tier = fixture.openUnscanned({ policy: newTuned });
  for (const [index, key] of keys.entries()) {
    if (index % 4 === 0) assert.ok(await readBlock(tier, key));
    if (index % 4 === 1) await tier.delete(key);
    if (index % 4 === 2) tier.evictFirst(key.version.chunkPath(0), true);
    if (index % 4 === 3) tier.supersede(key.version);
  }
  await tier.ready;
  assert.equal(tier.chunkCount, 30);
  for (const key of keys) await tier.delete(key);
  assert.deepEqual([tier.chunkCount, tier.usedBytes, fixture.chunkFiles()], [0, 0, []]);
});

test("DiskIndex.pathsOf: a row that was used, and now holds another chunk, names none that was used", () => {
  const limits = { maxBytes: 1e9, highWatermark: 1, lowWatermark: 1 };
  const used: number[] = [];
  const marks = {
    use(row: number): number {
      used.push(row);
      return 1;
    },
  };
  const index = new DiskIndex({ ...limits, maxChunks: 10, policy: () => new FifoPolicy(), marks });
  index.timesOfUse();
  index.endScan();
  const [first, second, third] = keysOf(3) as [ChunkKey, ChunkKey, ChunkKey];
  for (const { version } of [first, second]) index.add(version.chunkPath(0), KiB);
  for (const key of [first, second]) assert.ok(index.touch(key, 0));
  assert.equal(used.length, 2);
  index.remove(first.version.chunkPath(0));
  index.add(third.version.chunkPath(0), KiB);
  assert.deepEqual(index.pathsOf(used), [second.version.chunkPath(0)]);
});

test("DiskIndex.rank: gives the policy one slice in a turn", () => {
  const ranked: number[] = [];
  class CountingPolicy extends FifoPolicy {
    override insert(row: number): void {
      ranked.push(row);
    }
  }
  const limits = { maxBytes: 1e9, highWatermark: 1, lowWatermark: 1 };
  const index = new DiskIndex({ ...limits, maxChunks: 2000, policy: () => new CountingPolicy() });
  const paths = keysOf(1300).map(({ version }) => version.chunkPath(0));
  // The newest first, each with a fraction of a second.
  const times = paths.map((_, at) => (pastS - 10 * at) * 1000 + 1);
  index.addScanned({ paths, sizesBytes: paths.map(() => KiB), usedAtMs: times });
  assert.deepEqual(ranked, []);
  const rows = sortedRows(index.timesOfUse());
  const counts = [0, 512, 1024].map((from) => {
    index.rank(rows, from);
    return ranked.length;
  });
  assert.deepEqual(counts, [512, 1024, 1300]);
  assert.deepEqual(
    ranked,
    Array.from({ length: 1300 }, (_, at) => 1300 - at),
  );
});

test("sortedRows: the rows that wait, the oldest time first, equal times in the order of the rows", () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: -1, max: 2 ** 31 }), { maxLength: 200 }), (seconds) => {
      const order = new ScanOrder(seconds.length);
      const model: { row: number; second: number }[] = [];
      for (const [index, second] of seconds.entries()) {
        if (second < 0) continue;
        order.wait(index + 1, Date.UTC(2020) + second * 1000 + 1);
        model.push({ row: index + 1, second: Math.min(2 ** 31 - 1, Math.max(1, second)) });
      }
      model.sort((left, right) => left.second - right.second);
      assert.deepEqual(
        [...sortedRows(order.close(seconds.length))],
        model.map(({ row }) => row),
      );
    }),
  );
});
