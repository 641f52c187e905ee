import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { ChunkRanges } from "../../src/chunk/chunk-ranges.ts";

function rangesOf(indexes: readonly number[]): ChunkRanges {
  const ranges = new ChunkRanges();
  for (const index of indexes) ranges.add(index);
  return ranges;
}

test("ChunkRanges: neighbours are a range, others stand alone", () => {
  assert.equal(rangesOf([]).toString(), "");
  assert.equal(rangesOf([0]).toString(), "0");
  assert.equal(rangesOf([0, 1]).toString(), "0-1");
  assert.equal(rangesOf([3, 5, 6, 7, 9]).toString(), "3,5-7,9");
  assert.throws(() => rangesOf([1, 1]), /ascending/);
});

test("ChunkRanges: any set of chunks reads back as itself", () => {
  fc.assert(
    fc.property(fc.uniqueArray(fc.nat(200)), (chunks) => {
      const sorted = chunks.sort((left, right) => left - right);
      const ranges = rangesOf(sorted);
      const parts = ranges.toString() === "" ? [] : ranges.toString().split(",");
      const read = parts.flatMap((part) => {
        const [first = 0, last = first] = part.split("-").map(Number);
        return Array.from({ length: last - first + 1 }, (_, offset) => first + offset);
      });
      assert.deepEqual(read, sorted);
      assert.equal(ranges.count, sorted.length);
    }),
  );
});
