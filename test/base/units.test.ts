import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import {
  formatBytes,
  formatDuration,
  GiB,
  KiB,
  MiB,
  parseBytes,
  parseDuration,
} from "../../src/base/units.ts";

test("parseBytes: binary and decimal units, any case, with and without a space", () => {
  const cases: [string | number, number][] = [
    ["0", 0],
    [4096, 4096],
    ["17 B", 17],
    ["8MiB", 8 * MiB],
    ["8 mib", 8 * MiB],
    ["1.5GiB", 1.5 * GiB],
    ["1 GB", 1e9],
    ["1k", 1000],
    [" 64KiB ", 64 * KiB],
    ["2TiB", 2048 * GiB],
  ];
  for (const [text, bytes] of cases) assert.equal(parseBytes(text), bytes, String(text));
});

test("parseBytes: what is no whole, safe, non-negative number of bytes is not understood", () => {
  const texts = [
    "",
    "MiB",
    "-1",
    "1.5",
    "0.1KiB",
    "1 XB",
    "1e3",
    "8 Mi B",
    "0x10",
    "1,5GB",
    "9007199254740993",
    "∞",
  ];
  for (const text of [...texts, Number.NaN, Infinity, -1, 0.5])
    assert.equal(parseBytes(text), undefined, String(text));
});

test("parseDuration: Go's durations, in milliseconds", () => {
  const cases: [string | number, number][] = [
    ["0", 0],
    [0, 0],
    ["500ms", 500],
    ["5m", 300_000],
    ["1h30m", 5_400_000],
    ["1.5s", 1500],
    ["250us", 0.25],
    ["250µs", 0.25],
    ["-5s", -5000],
    ["+5s", 5000],
  ];
  for (const [text, milliseconds] of cases) assert.equal(parseDuration(text), milliseconds, String(text));
});

test("parseDuration: what has no unit or an unknown one is not understood", () => {
  for (const text of ["", "5", 5, "5 s", "s", "5d", "1m-5s", "1.s", ".5s", "1e3ms"]) {
    assert.equal(parseDuration(text), undefined, String(text));
  }
});

test("formatBytes: the largest binary unit that keeps the number at one or more", () => {
  const texts = [0, 1023, 1024, 8 * MiB, 1.5 * GiB, 2048 * GiB].map(formatBytes);
  assert.deepEqual(texts, ["0 B", "1023 B", "1 KiB", "8 MiB", "1.5 GiB", "2048 GiB"]);
});

test("formatDuration: what it writes, parseDuration reads back", () => {
  assert.deepEqual([500, 5000, 90_000, 120_000, 3_600_000].map(formatDuration), [
    "500ms",
    "5s",
    "90s",
    "2m",
    "1h",
  ]);
  fc.assert(
    fc.property(fc.nat(1e9), (milliseconds) => {
      assert.equal(parseDuration(formatDuration(milliseconds)), milliseconds);
    }),
  );
});

test("formatBytes: whole units are read back by parseBytes", () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 1023 }), fc.constantFrom(1, KiB, MiB, GiB), (count, unit) => {
      assert.equal(parseBytes(formatBytes(count * unit)), count * unit);
    }),
  );
});
