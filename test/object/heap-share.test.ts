import assert from "node:assert/strict";
import { test } from "node:test";
import { AssertionFailure } from "../../src/base/assert.ts";
import { LruMap } from "../../src/base/lru-map.ts";
import { heapAllowanceBytes, MemoryBudget } from "../../src/base/memory-budget.ts";
import { KiB, MiB } from "../../src/base/units.ts";
import { HeapShare } from "../../src/object/heap-share.ts";
import { FakeClock } from "../support/fake-clock.ts";

function fixture(bytesMax: number, maxBytes = 4 * MiB) {
  const budget = new MemoryBudget({ maxBytes, clock: new FakeClock(), poison: true });
  const heap = new HeapShare(budget, bytesMax);
  const mapOf = (entriesMax = 100): LruMap<string, number> => new LruMap({ entriesMax, shared: heap });
  return { budget, heap, mapOf };
}

test("HeapShare: at the bound an entry evicts those used least recently, of the heaviest map", () => {
  const { heap, mapOf } = fixture(10);
  const [heavy, light] = [mapOf(), mapOf()];
  for (const key of ["a", "b", "c", "d"]) heavy.set(key, 0, 2);
  light.set("x", 0, 2);
  heavy.get("a");
  light.set("y", 0, 3);
  assert.deepEqual(
    [[...heavy.keys()], [...light.keys()]],
    [
      ["d", "a"],
      ["x", "y"],
    ],
  );
  assert.deepEqual([heap.bytes, heavy.weight, light.weight], [9, 4, 5]);
});

test("HeapShare: an entry that is replaced, deleted, evicted by count or cleared is discharged", () => {
  const { heap, mapOf } = fixture(100);
  const map = mapOf(2);
  map.set("a", 0, 10);
  map.set("a", 0, 30);
  assert.equal(heap.bytes, 30);
  map.set("b", 0, 5);
  map.set("c", 0, 5);
  assert.deepEqual([[...map.keys()], heap.bytes], [["b", "c"], 10]);
  map.delete("b");
  assert.equal(heap.bytes, 5);
  map.clear();
  assert.equal(heap.bytes, 0);
});

test("HeapShare: an entry larger than the share is not kept, and evicts only the one that it replaces", () => {
  const { heap, mapOf } = fixture(10);
  const map = mapOf();
  map.set("a", 0, 2);
  map.set("b", 0, 2);
  map.set("b", 0, 11);
  assert.deepEqual([[...map.keys()], heap.bytes], [["a"], 2]);
});

test("HeapShare: what passes the allowance counts against the budget, and returns to zero", () => {
  const { budget, heap, mapOf } = fixture(heapAllowanceBytes + MiB);
  const map = mapOf();
  map.set("a", 0, heapAllowanceBytes);
  assert.equal(budget.usedBytes, 0);
  map.set("b", 0, MiB);
  assert.equal(budget.usedBytes, MiB);
  heap.close();
  assert.deepEqual([map.size, heap.bytes, budget.usedBytes], [0, 0, 0]);
  map.set("c", 0, 1);
  assert.deepEqual([map.size, heap.bytes], [0, 0]);
});

test("HeapShare: where all of the budget is in use, an entry replaces others, and one with nothing to replace is not kept", () => {
  const { budget, heap, mapOf } = fixture(heapAllowanceBytes + MiB);
  const map = mapOf();
  const allowed = heapAllowanceBytes / KiB;
  map.set("large", 0, (allowed - 2) * KiB);
  map.set("a", 0, KiB);
  map.set("b", 0, KiB);
  const reservation = budget.tryReserve(4 * MiB);
  map.get("large");
  map.set("c", 0, KiB);
  assert.deepEqual([[...map.keys()], heap.bytes], [["b", "large", "c"], heapAllowanceBytes]);
  map.delete("large");
  map.set("d", 0, allowed * KiB);
  assert.deepEqual([map.has("d"), heap.bytes], [false, 2 * KiB]);
  assert.equal(budget.usedBytes, 4 * MiB);
  reservation?.release();
});

test("HeapShare: an entry that is removed lets a waiting reservation have its memory", async () => {
  const { budget, mapOf } = fixture(heapAllowanceBytes + MiB);
  const map = mapOf();
  map.set("a", 0, heapAllowanceBytes + MiB);
  const waiting = budget.reserve(4 * MiB, 1000);
  assert.equal(budget.waiting, 1);
  map.delete("a");
  (await waiting).release();
  assert.equal(budget.usedBytes, 0);
});

test("HeapShare: an eviction that discharges nothing is a bug, and ends rather than goes on for ever", () => {
  const { heap } = fixture(10);
  assert.equal(heap.tryCharge(8), true);
  // Nobody has the entry: the sum has drifted from the maps.
  assert.throws(() => heap.tryCharge(8), AssertionFailure);
  heap.add({ weight: 8, evictOldest: () => {} });
  assert.throws(() => heap.close(), AssertionFailure);
});
