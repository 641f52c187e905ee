import assert from "node:assert/strict";
import { mkdirSync, utimesSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { KiB } from "../../../src/base/units.ts";
import type { ChunkKey } from "../../../src/store/chunk-store.ts";
import type { DiskTier } from "../../../src/store/disk/disk-tier.ts";
import { diskCriteria } from "./disk-criteria.ts";
import { type DiskFixture, keyOf, newTuned, readChunk } from "./disk-fixture.ts";

const criterion = diskCriteria("DiskTier");

function keysOf(count: number, prefix = "key"): ChunkKey[] {
  return Array.from({ length: count }, (_, index) => keyOf(`${prefix}-${index}`, KiB));
}

function heldOf(tier: DiskTier, keys: readonly ChunkKey[]): ChunkKey[] {
  return keys.filter((key) => tier.presence(key) === "held");
}

/** Files that a scan takes for chunks. `usedAt`: seconds since the epoch. */
function writeFile(fixture: DiskFixture, key: ChunkKey, usedAt: number): void {
  const path = fixture.pathOf(key);
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, Buffer.alloc(KiB));
  utimesSync(path, usedAt, usedAt);
}

criterion(
  "never holds more than max_chunks, and evicts from the high to the low watermark",
  async (fixture) => {
    const tier = await fixture.open({ maxChunks: 100 });
    const keys = keysOf(150);
    for (const key of keys) {
      assert.equal(await fixture.put(tier, key), "stored");
      assert.equal(tier.chunkCount, fixture.chunkFiles().length);
      assert.ok(tier.chunkCount <= 95);
    }
    // 95 fill it. The 96th evicts down to 85 in all, and so does every eleventh after it.
    assert.deepEqual(heldOf(tier, keys), keys.slice(55));
    assert.equal(tier.stats.evictions, 55);
  },
);

criterion("commits that run at the same time do not take more rows than there are", async (fixture) => {
  const tier = await fixture.open({ maxChunks: 10, highWatermark: 1, lowWatermark: 1 });
  const keys = keysOf(40);
  const results = await Promise.all(keys.map((key) => fixture.put(tier, key)));
  assert.deepEqual(new Set(results), new Set(["stored"]));
  assert.equal(tier.chunkCount, 10);
  assert.equal(fixture.chunkFiles().length, 10);
});

criterion(
  "a scan of more files than max_chunks keeps those used last, and deletes the rest",
  async (fixture) => {
    const keys = keysOf(700);
    // In an order that is neither that of the hashes nor that of the names.
    for (const [index, key] of keys.entries()) writeFile(fixture, key, 1_700_000_000 + ((index * 263) % 700));
    const tier = await fixture.open({ maxChunks: 300, highWatermark: 1, lowWatermark: 1 });
    const newest = keys.filter((_, index) => (index * 263) % 700 >= 400);
    assert.deepEqual(heldOf(tier, keys), newest);
    assert.deepEqual(fixture.chunkFiles().toSorted(), newest.map((key) => fixture.pathOf(key)).toSorted());
    assert.equal(tier.stats.evictions, 400);
    assert.equal(tier.usedBytes, fixture.bytesOnDisk());
  },
);

criterion("of files of the same age, a scan keeps as many as it may", async (fixture) => {
  const keys = keysOf(100);
  for (const [index, key] of keys.entries()) writeFile(fixture, key, 1_700_000_000 + Number(index < 30));
  const tier = await fixture.open({ maxChunks: 50, highWatermark: 1, lowWatermark: 1 });
  assert.equal(heldOf(tier, keys.slice(0, 30)).length, 30);
  assert.equal(tier.chunkCount, 50);
  assert.equal(fixture.chunkFiles().length, 50);
});

criterion("a chunk whose file the scan has not found is read, if there is a row for it", async (fixture) => {
  const first = await fixture.open();
  const key = keyOf("read", KiB);
  await fixture.put(first, key);
  await first.close(60_000);
  const tier = fixture.openUnscanned();
  assert.ok(await readChunk(tier, key));
  await tier.ready;
  assert.equal(tier.chunkCount, 1);
});

criterion("a version of more chunks than one slice is superseded whole, and no other", async (fixture) => {
  const { version } = keyOf("changed", 2000, 0, 1);
  const changed = Array.from({ length: 1200 }, (_, index) => ({ version, index }));
  const others = keysOf(100);
  for (const [index, key] of [...others, ...changed].entries())
    writeFile(fixture, key, 1_700_000_000 + index);
  const limits = { maxChunks: 1300, highWatermark: 1, lowWatermark: 0.1 };
  const tier = await fixture.open({ ...limits, policy: newTuned });
  tier.supersede(version);
  for (let turn = 0; turn < 5; turn += 1) await new Promise(setImmediate);
  const written: ChunkKey[] = [];
  while (tier.stats.evictions < 1150) {
    const key = keyOf(`written-${written.length}`, KiB);
    assert.equal(await fixture.put(tier, key), "stored");
    written.push(key);
  }
  await tier.close(60_000);
  assert.equal(heldOf(tier, changed).length, 1200 - tier.stats.evictions);
  assert.deepEqual(heldOf(tier, [...others, ...written]), [...others, ...written]);
});
