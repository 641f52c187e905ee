import assert from "node:assert/strict";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { heapAllowanceBytes, MemoryBudget, segmentSizeBytes } from "../../src/base/memory-budget.ts";
import { MiB } from "../../src/base/units.ts";
import { memoryChunkCostBytes } from "../../src/chunk/chunk-costs.ts";
import { MemoryTier } from "../../src/store/memory-tier.ts";
import { chunkOf } from "../support/chunk-of.ts";
import { FakeClock } from "../support/fake-clock.ts";
import { run } from "../support/process.ts";

async function heapOf(chunks: number): Promise<number> {
  const script = fileURLToPath(new URL("./memory-tier-cost.ts", import.meta.url));
  const output = await run(process.execPath, ["--expose-gc", script, String(chunks)], 120_000);
  const measured = JSON.parse(output) as { chunks: number; heapBytes: number };
  assert.equal(measured.chunks, chunks);
  return measured.heapBytes;
}

test("MemoryTier: one more small chunk costs the heap that is charged for it, within a fifth", async () => {
  const costBytes = ((await heapOf(50_000)) - (await heapOf(10_000))) / 40_000;
  assert.ok(
    costBytes <= memoryChunkCostBytes && costBytes > 0.8 * memoryChunkCostBytes,
    `${costBytes} bytes`,
  );
});

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
