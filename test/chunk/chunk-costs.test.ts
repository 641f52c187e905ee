import assert from "node:assert/strict";
import { test } from "node:test";
import { GiB } from "../../src/base/units.ts";
import { diskChunksMax } from "../../src/chunk/chunk-costs.ts";
import { ChunkTable } from "../../src/store/chunk-table/chunk-table.ts";

test("diskChunksMax: a quarter of memory, and never more than a chunk table can hold", () => {
  assert.equal(diskChunksMax(GiB), 3_355_443);
  assert.equal(diskChunksMax(30 * GiB), 100_000_000);
  assert.equal(diskChunksMax(1024 * GiB), 100_000_000);
  // The system provides no page of it before it is written.
  assert.equal(new ChunkTable(diskChunksMax(1024 * GiB)).count, 0);
});
