import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { editDistance, nearest } from "../../src/config/did-you-mean.ts";

const keys = ["max_bytes", "root", "fsync", "high_watermark", "low_watermark"];

test("editDistance: counts insertions, deletions, substitutions and swaps of neighbours", () => {
  assert.equal(editDistance("bucket", "bucket"), 0);
  assert.equal(editDistance("buckt", "bucket"), 1);
  assert.equal(editDistance("buckket", "bucket"), 1);
  assert.equal(editDistance("bicket", "bucket"), 1);
  assert.equal(editDistance("bukcet", "bucket"), 1);
  assert.equal(editDistance("", "abc"), 3);
});

test("editDistance: is symmetric, and 0 for equal words only", () => {
  const word = fc.string({ maxLength: 12 });
  fc.assert(
    fc.property(word, word, (a, b) => {
      assert.equal(editDistance(a, b), editDistance(b, a));
      assert.equal(editDistance(a, b) === 0, a === b);
    }),
  );
});

test("nearest: finds the word that was meant", () => {
  assert.equal(nearest("max_byte", keys), "max_bytes");
  assert.equal(nearest("maxBytes", keys), "max_bytes");
  assert.equal(nearest("MAX-BYTES", keys), "max_bytes");
  assert.equal(nearest("hihg_watermark", keys), "high_watermark");
});

test("nearest: suggests nothing for a word that is like none", () => {
  assert.equal(nearest("compression", keys), undefined);
  assert.equal(nearest("", keys), undefined);
  assert.equal(nearest("x".repeat(1_000_000), keys), undefined);
});
