import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { type ByteRange, parseRange, wholeObject } from "../../src/edge/range.ts";

const unsatisfiable: ByteRange = { kind: "unsatisfiable" };
const malformed: ByteRange = { kind: "malformed" };
const range = (start: number, end: number): ByteRange => ({ kind: "range", start, end });

test("parseRange: closed, open and suffix ranges lie where RFC 9110 §14.1.2 says", () => {
  assert.deepEqual(parseRange("bytes=0-0", 1000), range(0, 1));
  assert.deepEqual(parseRange("bytes=0-499", 1000), range(0, 500));
  assert.deepEqual(parseRange("bytes=500-999", 1000), range(500, 1000));
  assert.deepEqual(parseRange("bytes=999-", 1000), range(999, 1000));
  assert.deepEqual(parseRange("bytes=0-", 1000), range(0, 1000));
  assert.deepEqual(parseRange("bytes=-1", 1000), range(999, 1000));
  assert.deepEqual(parseRange("bytes=0007-0009", 1000), range(7, 10));
});

test("parseRange: an end past the object is clamped", () => {
  assert.deepEqual(parseRange("bytes=10-1000", 1000), range(10, 1000));
  assert.deepEqual(parseRange("bytes=10-999999", 1000), range(10, 1000));
});

test("parseRange: a suffix longer than the object is the whole object", () => {
  assert.deepEqual(parseRange("bytes=-1000", 1000), range(0, 1000));
  assert.deepEqual(parseRange("bytes=-1001", 1000), range(0, 1000));
});

test("parseRange: a start at or past the end and an empty suffix are unsatisfiable", () => {
  assert.deepEqual(parseRange("bytes=1000-", 1000), unsatisfiable);
  assert.deepEqual(parseRange("bytes=1000-2000", 1000), unsatisfiable);
  assert.deepEqual(parseRange("bytes=-0", 1000), unsatisfiable);
});

test("parseRange: an object without bytes satisfies no range but a suffix, which is all of it", () => {
  for (const header of ["bytes=0-0", "bytes=0-", "bytes=-0", "bytes=5-9"]) {
    assert.deepEqual(parseRange(header, 0), unsatisfiable, header);
  }
  for (const header of ["bytes=-1", "bytes=-5"]) assert.deepEqual(parseRange(header, 0), wholeObject, header);
});

test("parseRange: numbers beyond 2^53 mean what they say", () => {
  assert.deepEqual(parseRange("bytes=0-18446744073709551615", 1000), range(0, 1000));
  assert.deepEqual(parseRange(`bytes=-${"9".repeat(5000)}`, 1000), range(0, 1000));
  assert.deepEqual(parseRange("bytes=9223372036854775807-", 1000), unsatisfiable);
});

test("parseRange: malformed ranges and several ranges are told apart from unsatisfiable ones", () => {
  for (const header of [
    "bytes=",
    "bytes=-",
    "bytes=,",
    "bytes=abc",
    "bytes=1",
    "bytes=5-2",
    "bytes=0-1,5-6",
    "bytes=0-1, bytes=5-6",
    "bytes=0 -1",
    "bytes=0- 1",
    "bytes=--1",
    "bytes=0-1-2",
    "bytes=+1-2",
    "bytes=0x0-0xf",
    "bytes=1.0-2",
    "bytes=0-1;",
    "bytes 0-1",
    "bytes",
    "bytes =0-1",
    "=0-1",
  ]) {
    assert.deepEqual(parseRange(header, 1000), malformed, header);
  }
});

test("parseRange: another unit and an empty header are ignored", () => {
  for (const header of ["seconds=0-1", "items=abc", "byte=0-1", "", "  "]) {
    assert.deepEqual(parseRange(header, 1000), wholeObject, header);
  }
});

test("parseRange: the unit is case-insensitive, white space and empty list elements are passed over", () => {
  for (const header of ["Bytes=1-2", "BYTES=1-2", "bytes= 1-2", "bytes=1-2 ", "bytes=,\t1-2 ,,"]) {
    assert.deepEqual(parseRange(header, 1000), range(1, 3), header);
  }
});

test("parseRange: every closed range inside an object is itself", () => {
  fc.assert(
    fc.property(fc.maxSafeNat(), fc.maxSafeNat(), fc.maxSafeNat(), (a, b, c) => {
      const [first, last, sizeBytes] = [a, b, c].sort((x, y) => x - y) as [number, number, number];
      fc.pre(last < sizeBytes);
      assert.deepEqual(parseRange(`bytes=${first}-${last}`, sizeBytes), range(first, last + 1));
      assert.deepEqual(parseRange(`bytes=${first}-`, sizeBytes), range(first, sizeBytes));
    }),
  );
});

test("parseRange: whatever the header, a range is not empty and lies inside the object", () => {
  const pieces = fc.constantFrom(
    "bytes=",
    "bytes",
    "=",
    "-",
    ",",
    " ",
    "0",
    "1",
    "9",
    "99999999999999999999",
    "a",
    "\t",
  );
  const header = fc.oneof(
    fc.string(),
    fc.array(pieces, { maxLength: 8 }).map((parts) => parts.join("")),
  );
  fc.assert(
    fc.property(header, fc.nat(2000), (text, sizeBytes) => {
      const parsed = parseRange(text, sizeBytes);
      if (parsed.kind !== "range") return;
      assert.ok(Number.isSafeInteger(parsed.start) && Number.isSafeInteger(parsed.end));
      assert.ok(parsed.start >= 0 && parsed.start < parsed.end && parsed.end <= sizeBytes);
    }),
    { numRuns: 2000 },
  );
});
