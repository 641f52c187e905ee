import assert from "node:assert/strict";
import { test } from "node:test";
import { heapAllowanceBytes, MemoryBudget, segmentSizeBytes } from "../../src/base/memory-budget.ts";
import { MiB } from "../../src/base/units.ts";
import { memoryChunkCost, memoryChunkCostBytes, publishedChunkCost } from "../../src/chunk/chunk-costs.ts";
import { MemoryTier } from "../../src/store/memory-tier.ts";
import { chunkOf, partialChunkOf } from "../support/chunk-of.ts";
import { FakeClock } from "../support/fake-clock.ts";
import { measured } from "../support/measured-process.ts";

async function heapOf(
  chunks: number,
  blockCount = 1,
  chunksOfObject = 1,
  ...published: string[]
): Promise<number> {
  const script = new URL("./memory-tier-cost.ts", import.meta.url);
  const cost = await measured<{ chunks: number; heapBytes: number }>(
    script,
    chunks,
    blockCount,
    chunksOfObject,
    ...published,
  );
  assert.equal(cost.chunks, chunks);
  return cost.heapBytes;
}

for (const [which, chunksOfObject] of [
  ["chunk", 1],
  ["chunk, alone of two of its object,", 2],
] as const) {
  test(`MemoryTier: one more small ${which} costs the heap that is charged for it, within a fifth`, async () => {
    const [few, many] = [await heapOf(10_000, 1, chunksOfObject), await heapOf(50_000, 1, chunksOfObject)];
    const costBytes = (many - few) / 40_000;
    assert.ok(
      costBytes <= memoryChunkCostBytes && costBytes > 0.8 * memoryChunkCostBytes,
      `${costBytes} bytes`,
    );
  });
}

test("MemoryTier: one small block of a chunk of 1 GiB costs the heap that is charged for it, within a fifth", async () => {
  const costBytes = ((await heapOf(10_000, 1024)) - (await heapOf(2000, 1024))) / 8000;
  const chargedBytes = memoryChunkCost(1024);
  assert.ok(costBytes <= chargedBytes && costBytes > 0.8 * chargedBytes, `${costBytes} bytes`);
});

for (const blockCount of [1, 1024]) {
  test(`MemoryTier: a chunk of ${blockCount} MiB that threads read costs the heap that is charged for it, within a fifth`, async () => {
    const [few, many] = blockCount === 1 ? [10_000, 50_000] : [2000, 10_000];
    const heapBytes =
      (await heapOf(many, blockCount, 1, "published")) - (await heapOf(few, blockCount, 1, "published"));
    const costBytes = heapBytes / (many - few);
    const chargedBytes = memoryChunkCost(blockCount) + publishedChunkCost(blockCount);
    assert.ok(
      costBytes <= chargedBytes && costBytes > 0.8 * chargedBytes,
      `${costBytes} bytes, and ${chargedBytes} are charged`,
    );
  });
}

function fill(budget: MemoryBudget, tier: MemoryTier, chunks: number): void {
  for (let index = 0; index < chunks; index += 1) {
    const chunk = chunkOf(budget, 1, index);
    tier.put(`k${index}`, chunk);
    chunk.release();
  }
}

test("MemoryTier: the heap of small chunks counts against the budget, and evicts", () => {
  const budget = new MemoryBudget({ maxBytes: 400 * MiB, clock: new FakeClock() });
  const tier = new MemoryTier({ budget });
  const allowed = Math.floor(heapAllowanceBytes / memoryChunkCostBytes);
  fill(budget, tier, 110_000);
  const { chunks } = tier.stats;
  // Without the charge, there is room for 102,400 pieces of 4 KiB.
  assert.ok(chunks > allowed && chunks < 95_000, `${chunks} chunks`);
  assert.ok(budget.usedBytes <= budget.maxBytes && budget.usedBytes > budget.maxBytes - 2 * segmentSizeBytes);
  tier.clear();
  assert.equal(budget.usedBytes, 0);
});

test("MemoryTier: holds no more chunks than the heap has room for, and keeps the newest", () => {
  const budget = new MemoryBudget({ maxBytes: 64 * MiB, clock: new FakeClock() });
  const tier = new MemoryTier({ budget, heapBytesMax: 1000 * memoryChunkCostBytes });
  fill(budget, tier, 3000);
  assert.equal(tier.stats.chunks, 1000);
  assert.equal(tier.stats.evictions, 2000);
  assert.ok(tier.peek("k2999"));
  tier.clear();
  assert.equal(budget.usedBytes, 0);
});

test("MemoryTier: a partial chunk counts on the heap with the places of the blocks that it lacks", () => {
  const budget = new MemoryBudget({ maxBytes: 64 * MiB, clock: new FakeClock() });
  const tier = new MemoryTier({ budget, heapBytesMax: 100 * memoryChunkCostBytes });
  fill(budget, tier, 50);
  for (let index = 0; index < 50; index += 1) {
    const chunk = partialChunkOf(budget, 1023 * MiB + 1, [1023]);
    tier.put(`p${index}`, chunk);
    chunk.release();
  }
  assert.equal(tier.stats.chunks, Math.floor((100 * memoryChunkCostBytes) / memoryChunkCost(1024)));
  assert.ok(tier.peek("p49"));
  tier.clear();
  assert.equal(budget.usedBytes, 0);
});
