import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { assertPattern, PatternChecker, patternBytes, sharedPatternBytes } from "./pattern.ts";

const offsets = fc.nat({ max: 1024 ** 4 });
const lengths = fc.nat({ max: 5000 });

test("patternBytes: a range of the object is that slice of any larger range", () => {
  fc.assert(
    fc.property(fc.nat(), offsets, lengths, lengths, (seed, offset, before, lengthBytes) => {
      const larger = patternBytes(seed, offset, before + lengthBytes);
      assert.deepEqual(patternBytes(seed, offset + before, lengthBytes), larger.subarray(before));
    }),
  );
});

test("patternBytes: no two blocks of a megabyte are alike, nor those of another seed or of 32 GiB further on", () => {
  const blocks = new Set<string>();
  const pieces = [
    patternBytes(1, 0, 2 ** 20),
    patternBytes(2, 0, 2 ** 20),
    patternBytes(1, 2 ** 35, 2 ** 20),
  ];
  for (const piece of pieces) {
    for (let at = 0; at < piece.length; at += 8) blocks.add(piece.toString("hex", at, at + 8));
  }
  assert.equal(blocks.size, (3 * 2 ** 20) / 8);
});

test("patternBytes: the blocks go on across 32 GiB as they begin there", () => {
  const across = patternBytes(5, 2 ** 35 - 16, 32);
  assert.deepEqual(across.subarray(16), patternBytes(5, 2 ** 35, 16));
  assert.notDeepEqual(across.subarray(16), patternBytes(5, 0, 16));
});

test("sharedPatternBytes: are the bytes of patternBytes, however many slices have been used since", () => {
  fc.assert(
    fc.property(
      fc.nat({ max: 3 }),
      fc.nat({ max: 2 ** 27 }),
      fc.nat({ max: 300_000 }),
      (seed, offset, length) => {
        assert.deepEqual(sharedPatternBytes(seed, offset, length), patternBytes(seed, offset, length));
      },
    ),
    { numRuns: 300 },
  );
});

test("assertPattern: names the first wrong absolute offset", () => {
  const bytes = patternBytes(3, 10_000, 600_000);
  assertPattern(bytes, 3, 10_000);
  bytes[400_000] = ~(bytes[400_000] ?? 0);
  assert.throws(() => assertPattern(bytes, 3, 10_000), /offset 410000 of the object with seed 3/);
});

test("assertPattern: bytes of another offset or another object are wrong from their first block on", () => {
  assert.throws(() => assertPattern(patternBytes(3, 8, 8), 3, 0), /Wrong byte at offset [0-7] /);
  assert.throws(() => assertPattern(patternBytes(4, 0, 8), 3, 0), /Wrong byte at offset [0-7] /);
});

test("PatternChecker: checks a stream in pieces of any size", () => {
  fc.assert(
    fc.property(fc.nat(), offsets, fc.array(lengths), (seed, offset, pieceLengths) => {
      const checker = new PatternChecker(seed, offset);
      for (const lengthBytes of pieceLengths) checker.update(patternBytes(seed, checker.offset, lengthBytes));
      assert.equal(
        checker.offset,
        pieceLengths.reduce((sum, lengthBytes) => sum + lengthBytes, offset),
      );
    }),
  );
});
