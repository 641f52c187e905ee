/** What other threads find of the chunks of a memory tier. */
import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { heapAllowanceBytes, MemoryBudget } from "../../../src/base/memory-budget.ts";
import { MiB } from "../../../src/base/units.ts";
import type { ChunkBytes } from "../../../src/chunk/chunk-bytes.ts";
import { ObjectVersion } from "../../../src/chunk/object-version.ts";
import { MemoryTier } from "../../../src/store/memory-tier.ts";
import { blockKeyOf, setBlock } from "../../../src/store/shared-index/block-key.ts";
import { noRow } from "../../../src/store/shared-index/pin-protocol.ts";
import { PublishedChunks, type PublishedRows } from "../../../src/store/shared-index/published-chunks.ts";
import { SharedBlocks } from "../../../src/store/shared-index/shared-blocks.ts";
import { SharedIndex } from "../../../src/store/shared-index/shared-index.ts";
import { chunkOf, partialChunkOf } from "../../support/chunk-of.ts";
import { FakeClock, settle } from "../../support/fake-clock.ts";
import { assertPattern } from "../../support/pattern.ts";

const chunkSizeBytes = 8 * MiB;

function versionOf(objectKey: string, sizeBytes: number): ObjectVersion {
  return new ObjectVersion({ originId: "o", bucket: "b", objectKey, etag: "e", sizeBytes, chunkSizeBytes });
}

/** Calls `onWithdraw` once, as if another thread did something at that moment. */
class WatchedChunks extends PublishedChunks {
  onWithdraw: (() => void) | undefined;

  override withdraw(chunk: ChunkBytes, rows: PublishedRows): void {
    const { onWithdraw } = this;
    this.onWithdraw = undefined;
    onWithdraw?.();
    super.withdraw(chunk, rows);
  }
}

class Published {
  readonly index: SharedIndex;
  readonly budget: MemoryBudget;
  readonly chunks: WatchedChunks;
  readonly tier: MemoryTier;
  readonly blocks: SharedBlocks;

  constructor(maxBytes: number, rowsMax = 100) {
    this.index = new SharedIndex(rowsMax);
    this.budget = new MemoryBudget({ maxBytes, clock: new FakeClock(), poison: true });
    this.chunks = new WatchedChunks(this.index);
    this.tier = new MemoryTier({ budget: this.budget, published: this.chunks });
    this.blocks = new SharedBlocks(this.index.memory);
    this.index.subscribe((slab, number) => this.blocks.addSlab(slab, number));
  }

  put(version: ObjectVersion, index: number, chunk: ChunkBytes): void {
    this.tier.put(version.memoryKey(index), chunk, false, version);
    chunk.release();
  }

  fill(version: ObjectVersion, seed: number): void {
    this.put(version, 0, chunkOf(this.budget, version.sizeBytes, seed));
  }

  /** The row of a block, pinned. */
  pin(version: ObjectVersion, index: number, block: number): number {
    const key = blockKeyOf(version);
    setBlock(key, chunkSizeBytes, index, block * MiB);
    return this.blocks.pin(key);
  }

  holds(version: ObjectVersion, index = 0, block = 0): boolean {
    const row = this.pin(version, index, block);
    if (row !== noRow) this.blocks.unpin(row);
    return row !== noRow;
  }
}

suite("PublishedChunks", () => {
  test("put: threads find each block of the chunk, and no block of another version", () => {
    const memory = new Published(16 * MiB);
    const version = versionOf("k", chunkSizeBytes + 2 * MiB + 5);
    memory.put(version, 1, chunkOf(memory.budget, 2 * MiB + 5, 3));
    for (const [block, lengthBytes] of [MiB, MiB, 5].entries()) {
      const row = memory.pin(version, 1, block);
      const bytes = memory.blocks.slice(row, 0, MiB);
      assert.equal(bytes.length, lengthBytes);
      assertPattern(bytes, 3, block * MiB);
      memory.blocks.unpin(row);
    }
    assert.equal(memory.holds(version, 0, 0), false);
    assert.equal(memory.holds(versionOf("k", 2 * MiB), 1, 0), false);
  });

  test("put: blocks that come later are found, and those that were there stay in their rows", () => {
    const memory = new Published(16 * MiB);
    const version = versionOf("k", 3 * MiB);
    memory.put(version, 0, partialChunkOf(memory.budget, 3 * MiB, [1]));
    assert.deepEqual(
      [0, 1, 2].map((block) => memory.holds(version, 0, block)),
      [false, true, false],
    );
    memory.put(version, 0, partialChunkOf(memory.budget, 3 * MiB, [0, 1, 2]));
    assert.deepEqual(
      [0, 1, 2].map((block) => memory.holds(version, 0, block)),
      [true, true, true],
    );
    assert.equal(memory.index.stats.rows, 3);
  });

  test("put: a chunk that finds no row is in memory all the same", () => {
    const memory = new Published(16 * MiB, 2);
    const version = versionOf("k", 3 * MiB);
    memory.fill(version, 1);
    assert.deepEqual(
      [0, 1, 2].map((block) => memory.holds(version, 0, block)),
      [true, true, false],
    );
    assert.equal(memory.tier.peek(version.memoryKey(0))?.isWhole, true);
    memory.tier.clear();
    assert.deepEqual(memory.index.stats, { rows: 0, full: 1 });
    assert.equal(memory.budget.usedBytes, 0);
  });

  test("delete and clear: threads find nothing, and a pinned block keeps its bytes until it is unpinned", async () => {
    const memory = new Published(16 * MiB);
    const [one, two] = [versionOf("1", 2 * MiB), versionOf("2", MiB)];
    memory.fill(one, 1);
    memory.fill(two, 2);
    const row = memory.pin(one, 0, 1);
    memory.tier.delete(one.memoryKey(0));
    assert.equal(memory.holds(one), false);
    assert.equal(memory.holds(two), true);
    memory.tier.clear();
    assert.equal(memory.holds(two), false);
    assert.equal(memory.budget.usedBytes, MiB);
    assertPattern(memory.blocks.slice(row, 0, MiB), 1, MiB);
    memory.blocks.unpin(row);
    await settle();
    assert.equal(memory.budget.usedBytes, 0);
  });

  test("eviction: a chunk that threads have pinned is passed over while another frees memory", () => {
    const memory = new Published(4 * MiB);
    const versions = [0, 1, 2, 3].map((number) => versionOf(String(number), MiB));
    for (const version of versions) memory.fill(version, 1);
    const row = memory.pin(versions[0] as ObjectVersion, 0, 0);
    memory.fill(versionOf("new", MiB), 2);
    assert.deepEqual(
      versions.map((version) => memory.holds(version)),
      [true, false, true, true],
    );
    memory.blocks.unpin(row);
  });

  test("eviction: what threads have used twice outlives what nobody has used", () => {
    const memory = new Published(10 * MiB);
    const versions = Array.from({ length: 10 }, (_, number) => versionOf(String(number), MiB));
    for (const version of versions) memory.fill(version, 1);
    const row = memory.pin(versions[0] as ObjectVersion, 0, 0);
    for (let uses = 0; uses < 2; uses += 1) memory.blocks.use(row);
    memory.blocks.unpin(row);
    for (let number = 0; number < 3; number += 1) memory.fill(versionOf(`new${number}`, MiB), 2);
    assert.deepEqual(
      versions.map((version) => memory.holds(version)),
      [true, false, false, false, true, true, true, true, true, true],
    );
  });

  test("eviction: what threads have used before it was superseded is evicted first all the same", () => {
    const memory = new Published(4 * MiB);
    const versions = Array.from({ length: 4 }, (_, number) => versionOf(String(number), MiB));
    for (const version of versions) memory.fill(version, 1);
    const superseded = versions[3] as ObjectVersion;
    const row = memory.pin(superseded, 0, 0);
    memory.blocks.use(row);
    memory.blocks.unpin(row);
    memory.tier.supersede(superseded);
    memory.fill(versionOf("new", MiB), 2);
    assert.deepEqual(
      versions.map((version) => memory.holds(version)),
      [true, true, true, false],
    );
  });

  test("eviction: a pinned victim is dropped once, where its reader leaves and a waiter is served meanwhile", async () => {
    const memory = new Published(MiB);
    const versions = Array.from({ length: 40 }, (_, number) => versionOf(String(number), 4096));
    for (const version of versions) memory.fill(version, 1);
    const rows = versions.map((version) => memory.pin(version, 0, 0));
    const unpin = (number: number): void => memory.blocks.unpin(rows[number] as number);
    // Evicts the first 16, which frees nothing, and waits.
    const reserved = memory.budget.reserve(MiB, 60_000);
    assert.equal(memory.tier.stats.chunks, 24);
    unpin(39);
    // The next 16 victims are pinned. While the first of them goes, the second is unpinned. The waiter then evicts the
    // last chunk, which is free, and with it the second victim, which lies in the same slab.
    memory.chunks.onWithdraw = () => unpin(17);
    assert.equal(memory.budget.tryCharge(heapAllowanceBytes), true);
    memory.budget.discharge(heapAllowanceBytes);
    assert.deepEqual(memory.tier.stats, { ...memory.tier.stats, chunks: 0, evictions: 40 });
    for (let number = 0; number < 39; number += 1) if (number !== 17) unpin(number);
    (await reserved).release();
    assert.equal(memory.budget.usedBytes, 0);
  });

  test("eviction: when all chunks are pinned, memory is free when the last reader has left", async () => {
    const memory = new Published(2 * MiB);
    const versions = [0, 1].map((number) => versionOf(String(number), MiB));
    for (const version of versions) memory.fill(version, 1);
    const rows = versions.map((version) => memory.pin(version, 0, 0));
    const reserved = memory.budget.reserve(2 * MiB, 60_000);
    await settle();
    assert.equal(memory.budget.waiting, 1);
    for (const row of rows) memory.blocks.unpin(row);
    (await reserved).release();
    assert.equal(memory.budget.usedBytes, 0);
  });
});
