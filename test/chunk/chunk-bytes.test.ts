import assert from "node:assert/strict";
import { test } from "node:test";
import { AssertionFailure } from "../../src/base/assert.ts";
import { MemoryBudget } from "../../src/base/memory-budget.ts";
import { MiB } from "../../src/base/units.ts";
import { ChunkBytes, type Provenance } from "../../src/chunk/chunk-bytes.ts";
import { chunkOf, partialChunkOf, segmentOf } from "../support/chunk-of.ts";
import { FakeClock } from "../support/fake-clock.ts";
import { assertPattern } from "../support/pattern.ts";

function budgetOf(maxBytes: number): MemoryBudget {
  return new MemoryBudget({ maxBytes, clock: new FakeClock(), poison: true });
}

test("ChunkBytes.segmentAt: the segment that holds the byte", () => {
  const chunk = chunkOf(budgetOf(8 * MiB), 2 * MiB + 10);
  for (const [offset, index] of [
    [0, 0],
    [MiB - 1, 0],
    [MiB, 1],
    [2 * MiB, 2],
    [2 * MiB + 9, 2],
  ] as const) {
    assert.equal(chunk.segmentAt(offset), chunk.segments[index]);
  }
  assert.throws(() => chunk.segmentAt(3 * MiB), AssertionFailure);
});

test("ChunkBytes.share: two holds are independent, and the last one frees the memory", () => {
  const budget = budgetOf(8 * MiB);
  const chunk = chunkOf(budget, 3 * MiB, 5);
  const shared = chunk.share();
  chunk.release();
  assert.equal(budget.usedBytes, 3 * MiB);
  assertPattern(segmentOf(shared, MiB).bytes, 5, MiB);
  shared.release();
  assert.equal(budget.usedBytes, 0);
});

test("ChunkBytes: a reader's own reference keeps its one segment and no other", () => {
  const budget = budgetOf(8 * MiB);
  const chunk = chunkOf(budget, 4 * MiB, 6);
  const segment = segmentOf(chunk, 2 * MiB).retain();
  chunk.release();
  assert.equal(budget.usedBytes, MiB);
  assertPattern(segment.bytes, 6, 2 * MiB);
  segment.release();
  assert.equal(budget.usedBytes, 0);
});

test("ChunkBytes: a hold released twice or used after its release is a bug", () => {
  const chunk = chunkOf(budgetOf(8 * MiB), MiB);
  chunk.release();
  assert.throws(() => chunk.release(), AssertionFailure);
  assert.throws(() => chunk.segmentAt(0), AssertionFailure);
  assert.throws(() => chunk.share(), AssertionFailure);
});

test("ChunkBytes: segments that are fewer than the length needs are a bug", () => {
  const { segments } = chunkOf(budgetOf(8 * MiB), 2 * MiB);
  assert.throws(() => new ChunkBytes(segments, 2 * MiB + 1), AssertionFailure);
});

test("ChunkBytes.add: a partial chunk takes the blocks that it lacks, with a hold of its own on each", () => {
  const budget = budgetOf(16 * MiB);
  const lengthBytes = 4 * MiB + 10;
  const chunk = partialChunkOf(budget, lengthBytes, [0, 2], 1);
  assert.deepEqual([chunk.isWhole, chunk.heldBlocks, chunk.heldBytes], [false, 2, 2 * MiB]);
  assert.equal(chunk.segmentAt(MiB), undefined);
  assert.throws(() => chunk.segments, AssertionFailure);
  const before = chunk.share();
  const other = partialChunkOf(budget, lengthBytes, [1, 2, 4], 2);
  chunk.add(other);
  other.release();
  assert.deepEqual([chunk.heldBlocks, chunk.heldBytes], [4, 3 * MiB + 10]);
  assertPattern(segmentOf(chunk, MiB).bytes, 2, MiB);
  assertPattern(segmentOf(chunk, 2 * MiB).bytes, 1, 2 * MiB);
  assert.equal(before.heldBlocks, 2, "a hold that was shared before stays as it was");
  const rest = partialChunkOf(budget, lengthBytes, [1], 2);
  assert.equal(rest.segmentAt(0), undefined);
  rest.add(before);
  assertPattern(segmentOf(rest, 0).bytes, 1, 0);
  rest.release();
  const last = partialChunkOf(budget, lengthBytes, [3], 1);
  chunk.add(last);
  last.release();
  assert.ok(chunk.isWhole);
  assert.equal(chunk.segments.length, 5);
  before.release();
  chunk.release();
  assert.equal(budget.usedBytes, 0);
});

test("ChunkBytes.add: what is true of the provenance of some blocks is true of the chunk", () => {
  const budget = budgetOf(16 * MiB);
  const of = (block: number, provenance: Partial<Provenance>): ChunkBytes => {
    const { isUnverified = false, isFromOrigin = false, sentSha256 } = provenance;
    const segment = segmentOf(partialChunkOf(budget, 3 * MiB, [block]), block * MiB);
    const segments = [0, 1, 2].map((each) => (each === block ? segment : undefined));
    return new ChunkBytes(segments, 3 * MiB, { isUnverified, isFromOrigin, sentSha256 });
  };
  const chunk = of(0, {});
  chunk.add(of(1, { isFromOrigin: true }));
  chunk.add(of(1, { isUnverified: true }));
  assert.deepEqual(chunk.provenance, { isUnverified: false, isFromOrigin: true, sentSha256: undefined });
  chunk.add(of(2, { isUnverified: true, sentSha256: "00" }));
  assert.deepEqual(chunk.provenance, { isUnverified: true, isFromOrigin: true, sentSha256: "00" });
});
