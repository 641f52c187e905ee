import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { type Piece, pieceSizeFor, SegmentPool, slabSizeBytes } from "../../src/base/segment-pool.ts";
import { KiB } from "../../src/base/units.ts";

test("pieceSizeFor: the smallest piece that holds the bytes, in cache lines, at most twice as large from 2 KiB on", () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: slabSizeBytes }), (lengthBytes) => {
      const sizeBytes = pieceSizeFor(lengthBytes);
      assert.ok(sizeBytes >= lengthBytes && sizeBytes <= slabSizeBytes);
      assert.equal(sizeBytes % 64, 0);
      if (lengthBytes >= 2 * KiB) assert.ok(sizeBytes <= 2 * lengthBytes);
    }),
  );
});

test("pieceSizeFor: what is as long as a piece takes that piece", () => {
  for (const sizeBytes of [4 * KiB, 8 * KiB, 64 * KiB, 512 * KiB, slabSizeBytes]) {
    assert.equal(pieceSizeFor(sizeBytes), sizeBytes);
  }
  assert.equal(pieceSizeFor(512 * KiB + 1), slabSizeBytes);
});

test("SegmentPool: pieces in use never overlap, and growthFor says beforehand what a piece costs", () => {
  const step = fc.record({
    lengthBytes: fc.integer({ min: 1, max: slabSizeBytes }),
    giveFirst: fc.boolean(),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 80 }), (steps) => {
      const pool = new SegmentPool();
      const pieces: Piece[] = [];
      for (const { lengthBytes, giveFirst } of steps) {
        const given = giveFirst ? pieces.shift() : undefined;
        if (given) pool.give(given);
        const expectedBytes = pool.bytesInUse + pool.growthFor(lengthBytes);
        pieces.push(pool.take(lengthBytes));
        assert.equal(pool.bytesInUse, expectedBytes);
      }
      for (const [index, { bytes }] of pieces.entries()) bytes.fill(index);
      for (const [index, { bytes }] of pieces.entries()) assert.ok(bytes.every((byte) => byte === index));
      const slabs = new Set(pieces.map(({ bytes }) => bytes.buffer));
      assert.equal(pool.bytesInUse, slabs.size * slabSizeBytes);
      for (const piece of pieces) pool.give(piece);
      assert.equal(pool.bytesInUse, 0);
    }),
    { numRuns: 40 },
  );
});

test("SegmentPool: a slab that is free again is cut anew for pieces of another size", () => {
  const pool = new SegmentPool();
  const small = pool.take(1000);
  pool.give(small);
  const large = pool.take(slabSizeBytes);
  assert.equal(large.bytes.buffer, small.bytes.buffer);
  assert.equal(large.bytes.length, slabSizeBytes);
});
