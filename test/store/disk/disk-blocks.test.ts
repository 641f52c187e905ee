import assert from "node:assert/strict";
import { readFileSync, truncateSync, writeFileSync } from "node:fs";
import { type MemoryBudget, segmentSizeBytes } from "../../../src/base/memory-budget.ts";
import { MiB } from "../../../src/base/units.ts";
import type { ChunkKey, PutResult } from "../../../src/store/chunk-store.ts";
import type { DiskTier } from "../../../src/store/disk/disk-tier.ts";
import { clearDisk } from "../../../src/store/scrub/disk-clear.ts";
import { assertPattern } from "../../support/pattern.ts";
import { diskCriteria } from "./disk-criteria.ts";
import { chunkOf, keyOf, newTuned, readBlock, seedOf } from "./disk-fixture.ts";

const criterion = diskCriteria("DiskBlocks");

/** The third chunk of four: of 8 MiB, and the last one has 1 MiB and 5 bytes. */
const objectSizeBytes = 25 * MiB + 5;
const key = keyOf("large", objectSizeBytes, 2);

async function putBlocks(
  tier: DiskTier,
  budget: MemoryBudget,
  of: ChunkKey,
  first: number,
  end: number,
): Promise<PutResult> {
  const chunk = chunkOf(budget, of);
  try {
    return await tier.partial.putBlocks(of, first, chunk.segments.slice(first, end));
  } finally {
    chunk.release();
  }
}

/** False is a miss. @throws AssertionError for a wrong byte. */
async function reads(tier: DiskTier, of: ChunkKey, blockIndex: number): Promise<boolean> {
  const restBytes = of.version.chunkLength(of.index) - blockIndex * segmentSizeBytes;
  const target = Buffer.from(new SharedArrayBuffer(Math.min(segmentSizeBytes, restBytes)));
  if (!(await tier.partial.readBlock(of, blockIndex, target))) return false;
  assertPattern(target, seedOf(of), blockIndex * segmentSizeBytes);
  return true;
}

function held(tier: DiskTier, of: ChunkKey, blocks = 8): number[] {
  return Array.from({ length: blocks }, (_, block) => block).filter((block) => tier.partial.holds(of, block));
}

function fileOf(fixture: { pathOf(key: ChunkKey): string }, of: ChunkKey, blockIndex: number): string {
  return fixture.pathOf({ version: of.version.blocks, index: of.index * 8 + blockIndex });
}

criterion(
  "the blocks that were put are held, read and kept over a restart, and no others",
  async (fixture) => {
    const first = await fixture.open();
    assert.equal(await putBlocks(first, fixture.budget, key, 2, 5), "stored");
    assert.equal(await putBlocks(first, fixture.budget, key, 4, 6), "stored");
    assert.equal(await putBlocks(first, fixture.budget, key, 2, 3), "present");
    await first.close(60_000);
    const tier = await fixture.open();
    for (const each of [first, tier]) assert.deepEqual([each.chunkCount, each.blockCount], [0, 4]);
    assert.deepEqual(held(tier, key), [2, 3, 4, 5]);
    for (let block = 0; block < 8; block += 1)
      assert.equal(await reads(tier, key, block), block >= 2 && block < 6);
    assert.equal(tier.presence(key), "absent", "a partial chunk is not held as a chunk");
    assert.equal(await readBlock(tier, key, 2), false);
  },
);

criterion("the last block of an object is as long as its rest", async (fixture) => {
  const tier = await fixture.open();
  const last = keyOf("large", objectSizeBytes, 3);
  assert.equal(await putBlocks(tier, fixture.budget, last, 0, 2), "stored");
  assert.deepEqual(held(tier, last, 2), [0, 1]);
  assert.equal(await reads(tier, last, 0), true);
  assert.equal(await reads(tier, last, 1), true);
});

criterion(
  "a block whose file has a wrong byte, or is short, is a miss and goes; the others stay",
  async (fixture) => {
    const tier = await fixture.open();
    await putBlocks(tier, fixture.budget, key, 0, 4);
    const bytes = readFileSync(fileOf(fixture, key, 1));
    bytes.writeUInt8(bytes.readUInt8(77) ^ 1, 77);
    writeFileSync(fileOf(fixture, key, 1), bytes);
    truncateSync(fileOf(fixture, key, 2), 1000);
    const found = [];
    for (let block = 0; block < 4; block += 1) found.push(await reads(tier, key, block));
    assert.deepEqual(found, [true, false, false, true]);
    assert.deepEqual(held(tier, key), [0, 3]);
    assert.equal(tier.stats.damaged, 2);
    assert.equal(await putBlocks(tier, fixture.budget, key, 1, 3), "stored");
    assert.equal(await reads(tier, key, 1), true);
  },
);

criterion(
  "blocks of another chunk, version or size of the object are not taken for these",
  async (fixture) => {
    const tier = await fixture.open();
    await putBlocks(tier, fixture.budget, key, 0, 8);
    assert.deepEqual(held(tier, keyOf("large", objectSizeBytes, 1)), []);
    assert.deepEqual(held(tier, keyOf("other", objectSizeBytes, 2)), []);
    const longer = keyOf("large", objectSizeBytes + MiB, 2);
    assert.equal(await reads(tier, longer, 0), false);
  },
);

criterion("a delete removes the blocks of that chunk alone", async (fixture) => {
  const tier = await fixture.open();
  const other = keyOf("large", objectSizeBytes, 1);
  await putBlocks(tier, fixture.budget, key, 0, 8);
  await putBlocks(tier, fixture.budget, other, 3, 5);
  await tier.partial.delete(key);
  assert.deepEqual([held(tier, key), held(tier, other)], [[], [3, 4]]);
  assert.equal(fixture.chunkFiles().length, 2);
});

criterion("replicas that compare disks see whole chunks only", async (fixture) => {
  const tier = await fixture.open();
  const whole = keyOf("large", objectSizeBytes, 0);
  await fixture.put(tier, whole);
  await putBlocks(tier, fixture.budget, key, 0, 8);
  assert.deepEqual(tier.pathsAfter("", 100), [whole.version.chunkPath(0)]);
  assert.deepEqual([tier.chunkCount, tier.blockCount], [1, 8]);
});

criterion("a clear of a prefix deletes the blocks below it", async (fixture) => {
  const tier = await fixture.open();
  const other = keyOf("other", objectSizeBytes, 0);
  await putBlocks(tier, fixture.budget, key, 0, 3);
  await putBlocks(tier, fixture.budget, other, 0, 1);
  const prefix = { originId: "origin-a", bucket: "bucket", keyPrefix: "lar" };
  const cleared = await clearDisk(tier, prefix, AbortSignal.timeout(30_000));
  assert.equal(cleared.chunks, 3);
  assert.deepEqual([held(tier, key), held(tier, other)], [[], [0]]);
});

criterion(
  "blocks of a superseded version are evicted before chunks that were put earlier",
  async (fixture) => {
    const tier = await fixture.open({
      maxBytes: 16 * MiB,
      highWatermark: 0.9,
      lowWatermark: 0.85,
      policy: newTuned,
    });
    const early = keyOf("early", MiB);
    await fixture.put(tier, early);
    await putBlocks(tier, fixture.budget, key, 0, 8);
    tier.supersede(key.version);
    await new Promise(setImmediate);
    await putBlocks(tier, fixture.budget, keyOf("next", objectSizeBytes, 0), 0, 6);
    assert.equal(tier.presence(early), "held");
    assert.ok(held(tier, key).length < 8);
  },
);

criterion("a chunk of one block, or of an odd size, is not divided", async (fixture) => {
  const tier = await fixture.open();
  for (const chunkSizeBytes of [MiB, MiB / 2, 3 * (MiB / 2)]) {
    const odd = keyOf("odd", 4 * MiB, 0, chunkSizeBytes);
    assert.equal(await putBlocks(tier, fixture.budget, odd, 0, 1), "not_stored");
    assert.equal(tier.partial.holds(odd, 0), false);
    assert.equal(await reads(tier, odd, 0), false);
  }
});
