import assert from "node:assert/strict";
import { truncateSync, writeFileSync } from "node:fs";
import { KiB, MiB } from "../../../src/base/units.ts";
import { chunkFileSize, storedKeyOf } from "../../../src/store/chunk-file/chunk-file.ts";
import type { ChunkKey } from "../../../src/store/chunk-store.ts";
import { diskCriteria } from "./disk-criteria.ts";
import { keyOf, newTuned, readChunk } from "./disk-fixture.ts";

const criterion = diskCriteria("DiskTier");

function pathOf({ version, index }: ChunkKey): string {
  return version.chunkPath(index);
}

function keysOf(count: number): ChunkKey[] {
  return Array.from({ length: count }, (_, index) => keyOf(`key-${index}`, KiB));
}

criterion(
  "each held chunk is listed once, page by page, in an order that stays when chunks are stored or deleted",
  async (fixture) => {
    const tier = await fixture.open();
    const held = keysOf(600);
    for (const key of held) await fixture.put(tier, key);
    const found: string[] = [];
    for (let page = tier.pathsAfter("", 7); page.length > 0; page = tier.pathsAfter(found.at(-1) ?? "", 7)) {
      found.push(...page);
    }
    assert.deepEqual(found.toSorted(), held.map(pathOf).toSorted());
    const gone = found[100] as string;
    await tier.discard(gone);
    assert.equal(tier.hold(gone), undefined);
    assert.deepEqual(tier.pathsAfter(gone, 3), found.slice(101, 104), "a page begins behind what has gone");
    assert.deepEqual(
      tier.pathsAfter("", 600),
      found.filter((path) => path !== gone),
    );
  },
);

criterion("the chunk key of a path is read from its file, also after a restart", async (fixture) => {
  const first = await fixture.open();
  const key = keyOf(`dir/${"k".repeat(900)} \u{1F40B}`, 20 * MiB + 1, 2);
  await fixture.put(first, key);
  await first.close(60_000);
  const tier = await fixture.open();
  const found = await tier.chunkKeyOf(pathOf(key));
  assert.deepEqual(found && storedKeyOf(found), storedKeyOf(key));
  assert.equal(await tier.chunkKeyOf(pathOf(keyOf("other", KiB))), undefined);
});

criterion("a file that is damaged, short, missing or another chunk's has no chunk key", async (fixture) => {
  const tier = await fixture.open();
  const [torn, short, empty, other] = keysOf(4) as [ChunkKey, ChunkKey, ChunkKey, ChunkKey];
  for (const key of [torn, short, empty, other]) await fixture.put(tier, key);
  writeFileSync(fixture.pathOf(torn), Buffer.alloc(chunkFileSize(storedKeyOf(torn)), 1));
  truncateSync(fixture.pathOf(short), 20);
  truncateSync(fixture.pathOf(empty), 0);
  for (const key of [torn, short, empty]) assert.equal(await tier.chunkKeyOf(pathOf(key)), undefined);
  assert.ok(await tier.chunkKeyOf(pathOf(other)));
});

criterion("without marked chunks, spareBytes is the room below the high watermark", async (fixture) => {
  const [key] = keysOf(1) as [ChunkKey];
  const tier = await fixture.open({ maxBytes: 10 * MiB, highWatermark: 0.5, lowWatermark: 0.4 });
  assert.equal(tier.spareBytes, 5 * MiB);
  await fixture.put(tier, key);
  assert.equal(tier.spareBytes, 5 * MiB - chunkFileSize(storedKeyOf(key)));
});

criterion(
  "spareBytes counts the bytes of marked chunks beyond one eviction, and writing them evicts no unmarked chunk",
  async (fixture) => {
    // All keys have the same length, because a file contains the key of its object: so all files have one size.
    const keys = keysOf(24).slice(10);
    const sizeBytes = chunkFileSize(storedKeyOf(keys[0] as ChunkKey));
    const tier = await fixture.open({
      maxBytes: 10 * sizeBytes,
      highWatermark: 1,
      lowWatermark: 0.8,
      policy: newTuned,
    });
    const [held, marked, written] = [keys.slice(0, 10), keys.slice(4, 10), keys.slice(10, 14)];
    for (const key of held) assert.equal(await fixture.put(tier, key), "stored");
    assert.equal(tier.spareBytes, 0);
    for (const key of [...held, ...held]) tier.evictFirst(pathOf(key), marked.includes(key));
    assert.equal(tier.spareBytes, 4 * sizeBytes);
    assert.ok(await readChunk(tier, marked[0] as ChunkKey));
    assert.equal(tier.spareBytes, 3 * sizeBytes, "a use removes the mark");
    tier.evictFirst(pathOf(marked[0] as ChunkKey), true);
    for (const key of written) assert.equal(await fixture.put(tier, key), "stored");
    const kept = [...held.slice(0, 4), ...written];
    assert.deepEqual(
      kept.map((key) => tier.presence(key)),
      kept.map(() => "held"),
    );
    assert.equal(tier.chunkCount, kept.length, "two evictions, of three each");
    tier.evictFirst(pathOf(keyOf("unknown", KiB)), true);
    assert.equal(tier.spareBytes, 2 * sizeBytes, "a path that is not held is no mark");
  },
);
