import assert from "node:assert/strict";
import { test } from "node:test";
import { metadataEntryCostBytes } from "../../src/chunk/chunk-costs.ts";
import { measured } from "../support/measured-process.ts";

interface Measured {
  readonly heapBytes: number;
  readonly countedBytes: number;
}

const script = new URL("./directory-cost.ts", import.meta.url);
const partScript = new URL("./parts/part-cost.ts", import.meta.url);

// The rest of what is counted is for other objects: longer stacks, revalidations, values that are encoded.
for (const [kind, leastShare] of [
  ["plain", 0.8],
  ["metadata", 0.8],
  ["expired", 0.8],
  ["marker", 0.7],
  ["error", 0.6],
] as const) {
  test(`Directory.bytes: counts the heap of ${kind} entries, and little more`, async () => {
    const [few, many] = [
      await measured<Measured>(script, 5000, kind),
      await measured<Measured>(script, 15_000, kind),
    ];
    const heapBytes = (many.heapBytes - few.heapBytes) / 10_000;
    const countedBytes = (many.countedBytes - few.countedBytes) / 10_000;
    const share = heapBytes / countedBytes;
    assert.ok(share <= 1 && share > leastShare, `${heapBytes} bytes, counted as ${countedBytes}`);
    // The constant is an entry with a key and an ETag as these are, and is good for an advice.
    if (kind === "plain") assert.ok(Math.abs(countedBytes / metadataEntryCostBytes - 1) < 0.05);
  });
}

for (const [partsCount, leastShare, tables] of [
  [3, 0.7, 5000],
  [1000, 0.9, 1000],
] as const) {
  test(`PartTables.bytes: counts the heap of tables of ${partsCount} parts, and little more`, async () => {
    const [few, many] = [
      await measured<Measured>(partScript, tables, partsCount),
      await measured<Measured>(partScript, 3 * tables, partsCount),
    ];
    const heapBytes = (many.heapBytes - few.heapBytes) / (2 * tables);
    const countedBytes = (many.countedBytes - few.countedBytes) / (2 * tables);
    const share = heapBytes / countedBytes;
    assert.ok(share <= 1 && share > leastShare, `${heapBytes} bytes, counted as ${countedBytes}`);
  });
}
