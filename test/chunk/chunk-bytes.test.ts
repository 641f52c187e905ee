import assert from "node:assert/strict";
import { test } from "node:test";
import { AssertionFailure } from "../../src/base/assert.ts";
import { MemoryBudget } from "../../src/base/memory-budget.ts";
import { MiB } from "../../src/base/units.ts";
import { ChunkBytes } from "../../src/chunk/chunk-bytes.ts";
import { chunkOf, segmentOf } from "../support/chunk-of.ts";
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
