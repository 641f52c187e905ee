import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { KiB, MiB } from "../../../src/base/units.ts";
import { firstBytesOf } from "../../../src/edge/headers/first-bytes.ts";

const chunk = 8 * MiB;

function wanted(range: string, chunkSizeBytes = chunk): readonly [offset: number, end: number] | undefined {
  const bytes = firstBytesOf({ range }, chunkSizeBytes);
  return bytes && [bytes.offset, bytes.offset + bytes.lengthBytes];
}

test("firstBytesOf: a GET of the whole object wants its first chunk", () => {
  assert.deepEqual(firstBytesOf({}, chunk), { offset: 0, lengthBytes: chunk, withChecksums: false });
  const asked = firstBytesOf({ "x-amz-checksum-mode": "ENABLED" }, chunk);
  assert.deepEqual(asked, { offset: 0, lengthBytes: chunk, withChecksums: true });
});

test("firstBytesOf: a range wants its blocks, up to the end of the chunk", () => {
  assert.deepEqual(wanted("bytes=0-0"), [0, MiB]);
  assert.deepEqual(wanted(`bytes=${MiB - 1}-${MiB}`), [0, 2 * MiB]);
  assert.deepEqual(wanted(`bytes=${MiB}-${2 * MiB - 1}`), [MiB, 2 * MiB]);
  assert.deepEqual(wanted("bytes=0-"), [0, chunk]);
  assert.deepEqual(wanted(`bytes=${20 * MiB + 5}-99999999999`), [20 * MiB, 24 * MiB]);
  assert.deepEqual(wanted(`bytes=${100 * KiB}-`, 64 * KiB), [64 * KiB, 128 * KiB]);
});

test("firstBytesOf: the last bytes are at least 64 KiB, with a block less one byte before them", () => {
  const lastOf = (range: string, size = chunk) => firstBytesOf({ range }, size);
  const few = { offset: 0, lengthBytes: 64 * KiB + MiB - 1, withChecksums: false, lastBytes: 64 * KiB };
  for (const range of ["bytes=-5", "bytes= ,-5", "BYTES=-5", `bytes=-${64 * KiB}`])
    assert.deepEqual(lastOf(range), few, range);
  const most = { offset: 0, lengthBytes: chunk, withChecksums: false, lastBytes: 7 * MiB + 1 };
  assert.deepEqual(lastOf(`bytes=-${7 * MiB + 1}`), most);
  assert.equal(lastOf("bytes=-5", MiB), undefined, "a chunk of one block");
});

test("firstBytesOf: nothing where a HEAD is the better question", () => {
  for (const range of [
    "bytes=-0",
    `bytes=-${7 * MiB + 2}`,
    "bytes=-99999999999999999999",
    "bytes=3-0",
    "bytes=a-b",
    "items=0-1",
    "bytes=0-1,5-6",
  ])
    assert.equal(wanted(range), undefined, range);
  assert.equal(firstBytesOf({ "if-none-match": '"x"' }, chunk), undefined);
  assert.equal(firstBytesOf({ "if-modified-since": "Thu, 01 Jan 2026 00:00:07 GMT" }, chunk), undefined);
  assert.equal(firstBytesOf({ range: "bytes=0-1", "if-range": '"x"' }, chunk), undefined);
});

test("firstBytesOf: the first byte of the range is in whole blocks of one chunk of the smallest size", () => {
  const offset = fc.maxSafeNat();
  fc.assert(
    fc.property(offset, fc.nat(), fc.constantFrom(64 * KiB, MiB, 8 * MiB), (start, length, size) => {
      if (start + length >= Number.MAX_SAFE_INTEGER - size) return;
      const [from, end] = wanted(`bytes=${start}-${start + length}`, size) ?? assert.fail();
      assert.ok(from <= start && start < end);
      assert.equal(from % Math.min(MiB, size), 0);
      assert.equal(Math.floor(from / size), Math.floor((end - 1) / size));
    }),
  );
});
