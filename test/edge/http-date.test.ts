import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { formatHttpDate, formatIsoDate, parseHttpDate } from "../../src/edge/http-date.ts";

const nowMs = Date.UTC(2026, 0, 1);
const example = Date.UTC(1994, 10, 6, 8, 49, 37);

test("parseHttpDate: reads all three formats of RFC 9110 §5.6.7", () => {
  assert.equal(parseHttpDate("Sun, 06 Nov 1994 08:49:37 GMT", nowMs), example);
  assert.equal(parseHttpDate("Sunday, 06-Nov-94 08:49:37 GMT", nowMs), example);
  assert.equal(parseHttpDate("Sun Nov  6 08:49:37 1994", nowMs), example);
  assert.equal(parseHttpDate("Wed Nov 16 08:49:37 1994", nowMs), Date.UTC(1994, 10, 16, 8, 49, 37));
  assert.equal(parseHttpDate("  Sun, 06 Nov 1994 08:49:37 GMT ", nowMs), example);
});

test("parseHttpDate: a two-digit year more than 50 years ahead lies in the past", () => {
  assert.equal(parseHttpDate("Monday, 01-Jan-76 00:00:00 GMT", nowMs), Date.UTC(2076, 0, 1));
  assert.equal(parseHttpDate("Monday, 01-Jan-77 00:00:00 GMT", nowMs), Date.UTC(1977, 0, 1));
  assert.equal(parseHttpDate("Monday, 01-Jan-25 00:00:00 GMT", nowMs), Date.UTC(2025, 0, 1));
});

test("parseHttpDate: what is not a date is undefined", () => {
  for (const text of [
    "",
    "yesterday",
    "0",
    "1994-11-06T08:49:37Z",
    "Sun, 6 Nov 1994 08:49:37 GMT",
    "Sun, 06 Nov 1994 08:49:37 UTC",
    "Sun, 06 Nov 1994 08:49:37 +0000",
    "Sun, 06 Nov 1994 24:00:00 GMT",
    "Sun, 06 Nov 1994 08:60:00 GMT",
    "Sun, 31 Feb 1994 08:49:37 GMT",
    "Sun, 00 Nov 1994 08:49:37 GMT",
    "Sun, 06 Nov 0094 08:49:37 GMT",
    "Sun, 06 Nov 1994 08:49:37 GMT, Sun, 06 Nov 1994 08:49:37 GMT",
  ]) {
    assert.equal(parseHttpDate(text, nowMs), undefined, text);
  }
});

test("parseHttpDate: reads back what formatHttpDate writes", () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: Date.UTC(9999, 11, 31) / 1000 }), (seconds) => {
      assert.equal(parseHttpDate(formatHttpDate(seconds * 1000) ?? "", nowMs), seconds * 1000);
    }),
  );
});

test("parseHttpDate: never throws", () => {
  fc.assert(fc.property(fc.string(), (text) => void parseHttpDate(text, nowMs)));
});

test("formatHttpDate: writes IMF-fixdate", () => {
  assert.equal(formatHttpDate(example), "Sun, 06 Nov 1994 08:49:37 GMT");
});

test("formatIsoDate: writes the dates of S3's XML", () => {
  assert.equal(formatIsoDate(example), "1994-11-06T08:49:37.000Z");
});

test("formatHttpDate, formatIsoDate: a time that cannot be said is undefined", () => {
  for (const milliseconds of [Number.NaN, Infinity, -1, Date.UTC(10_000, 0), 8.7e15]) {
    assert.equal(formatHttpDate(milliseconds), undefined);
    assert.equal(formatIsoDate(milliseconds), undefined);
  }
});
