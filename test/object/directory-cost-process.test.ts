import assert from "node:assert/strict";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { metadataEntryCostBytes } from "../../src/chunk/chunk-costs.ts";
import { run } from "../support/process.ts";

interface Measured {
  readonly heapBytes: number;
  readonly countedBytes: number;
}

async function measure(entries: number, kind: string): Promise<Measured> {
  const script = fileURLToPath(new URL("./directory-cost.ts", import.meta.url));
  const output = await run(process.execPath, ["--expose-gc", script, String(entries), kind], 120_000);
  return JSON.parse(output) as Measured;
}

// The rest of what is counted is for other objects: longer stacks, revalidations, values that are encoded.
for (const [kind, leastShare] of [
  ["plain", 0.8],
  ["metadata", 0.8],
  ["expired", 0.8],
  ["marker", 0.7],
  ["error", 0.6],
] as const) {
  test(`Directory.bytes: counts the heap of ${kind} entries, and little more`, async () => {
    const [few, many] = [await measure(5000, kind), await measure(15_000, kind)];
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
    const script = fileURLToPath(new URL("./parts/part-cost.ts", import.meta.url));
    const measured = await Promise.all(
      [tables, 3 * tables].map(async (each) =>
        JSON.parse(
          await run(process.execPath, ["--expose-gc", script, String(each), String(partsCount)], 120_000),
        ),
      ),
    );
    const [few, many] = measured as [Measured, Measured];
    const heapBytes = (many.heapBytes - few.heapBytes) / (2 * tables);
    const countedBytes = (many.countedBytes - few.countedBytes) / (2 * tables);
    const share = heapBytes / countedBytes;
    assert.ok(share <= 1 && share > leastShare, `${heapBytes} bytes, counted as ${countedBytes}`);
  });
}
