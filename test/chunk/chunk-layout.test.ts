import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { AssertionFailure } from "../../src/base/assert.ts";
import { GiB, MiB } from "../../src/base/units.ts";
import {
  chunkCount,
  chunkIndexAt,
  chunkLength,
  chunkSizeFor,
  defaultChunkTiers,
} from "../../src/chunk/chunk-layout.ts";

const objectSizes = fc.oneof(
  fc.integer({ min: 1, max: 100_000 }),
  fc.maxSafeNat().map((size) => (size % (5 * 1024 * GiB)) + 1),
);

test("chunkSizeFor: 8 MiB; 64 MiB from 1 GiB on; 128 MiB from 10 GiB on, both bounds inclusive", () => {
  const sizes = [0, 1, GiB - 1, GiB, 10 * GiB - 1, 10 * GiB, 5 * 1024 * GiB];
  const chunkSizes = sizes.map((size) => chunkSizeFor(size, defaultChunkTiers) / MiB);
  assert.deepEqual(chunkSizes, [8, 8, 8, 64, 64, 128, 128]);
});

test("chunkSizeFor: tiers that do not start at 0 are a bug", () => {
  assert.throws(() => chunkSizeFor(5, [{ minObjectSizeBytes: 10, chunkSizeBytes: 1 }]), AssertionFailure);
});

test("chunkCount: an empty object has no chunk", () => {
  assert.equal(chunkCount(0, 8 * MiB), 0);
  assert.equal(chunkCount(1, 8 * MiB), 1);
  assert.equal(chunkCount(8 * MiB, 8 * MiB), 1);
  assert.equal(chunkCount(8 * MiB + 1, 8 * MiB), 2);
});

test("chunkLength: whole chunks, and the remainder for the last one", () => {
  assert.equal(chunkLength(20 * MiB, 8 * MiB, 0), 8 * MiB);
  assert.equal(chunkLength(20 * MiB, 8 * MiB, 2), 4 * MiB);
  assert.equal(chunkLength(16 * MiB, 8 * MiB, 1), 8 * MiB);
  assert.throws(() => chunkLength(16 * MiB, 8 * MiB, 2), AssertionFailure);
  assert.throws(() => chunkLength(16 * MiB, 8 * MiB, -1), AssertionFailure);
});

test("layout: the chunks of an object cover it without gap or overlap", () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 100_000 }),
      fc.integer({ min: 1, max: 5000 }),
      (size, chunkSize) => {
        fc.pre(size / chunkSize <= 2000);
        let end = 0;
        for (let index = 0; index < chunkCount(size, chunkSize); index += 1) {
          assert.equal(index * chunkSize, end);
          end += chunkLength(size, chunkSize, index);
        }
        assert.equal(end, size);
      },
    ),
  );
});

test("layout: every offset lies in the chunk that chunkIndexAt names, up to 5 TiB", () => {
  fc.assert(
    fc.property(objectSizes, fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }), (size, part) => {
      const offset = Math.floor(size * part);
      const chunkSize = chunkSizeFor(size, defaultChunkTiers);
      const index = chunkIndexAt(offset, chunkSize);
      const start = index * chunkSize;
      assert.ok(index < chunkCount(size, chunkSize));
      assert.ok(start <= offset && offset < start + chunkLength(size, chunkSize, index));
    }),
  );
});

test("layout: a range walked chunk by chunk is the range, in order, and only its own chunks are touched", () => {
  const range = fc.tuple(
    fc.nat(50_000),
    fc.integer({ min: 1, max: 10_000 }),
    fc.integer({ min: 100, max: 9000 }),
    fc.nat(9000),
  );
  fc.assert(
    fc.property(range, ([start, lengthBytes, chunkSize, beyond]) => {
      const end = start + lengthBytes;
      const size = end + beyond;
      const touched: number[] = [];
      let position = start;
      while (position < end) {
        const index = chunkIndexAt(position, chunkSize);
        position = Math.min(end, index * chunkSize + chunkLength(size, chunkSize, index));
        touched.push(index);
      }
      assert.equal(position, end);
      const first = chunkIndexAt(start, chunkSize);
      const last = chunkIndexAt(end - 1, chunkSize);
      assert.deepEqual(
        touched,
        Array.from({ length: last - first + 1 }, (_, step) => first + step),
      );
    }),
  );
});
