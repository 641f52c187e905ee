import assert from "node:assert/strict";
import { test } from "node:test";
import { diskChunkCostBytes } from "../../../src/chunk/chunk-costs.ts";
import { measured } from "../../support/measured-process.ts";

interface Cost {
  readonly chunks: number;
  readonly heapBytes: number;
  readonly sharedBytes: number;
}

const costOf = (chunks: number): Promise<Cost> =>
  measured(new URL("./disk-index-cost.ts", import.meta.url), chunks);

test("DiskIndex: one more chunk costs at most 80 bytes, of which almost nothing is heap", async () => {
  const [small, large] = [await costOf(50_000), await costOf(200_000)];
  assert.deepEqual([small.chunks, large.chunks], [50_000, 200_000]);
  const heapBytes = (large.heapBytes - small.heapBytes) / 150_000;
  const sharedBytes = (large.sharedBytes - small.sharedBytes) / 150_000;
  assert.ok(Math.abs(heapBytes) < 1, `${heapBytes} bytes of heap`);
  assert.ok(heapBytes + sharedBytes <= diskChunkCostBytes, `${heapBytes + sharedBytes} bytes`);
  // The index has fixed parts as well: the miniature caches, and digests of the last commits.
  assert.ok(large.heapBytes + large.sharedBytes <= 200_000 * diskChunkCostBytes + 4_000_000);
});
