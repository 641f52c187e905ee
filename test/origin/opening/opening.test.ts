import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { type ErrorCode, OrcaError } from "../../../src/base/orca-error.ts";
import { MalformedHead, parseHead, type ResponseHead } from "../../../src/http-client/response-head.ts";
import { openHeaders, openingOf } from "../../../src/origin/opening/opening.ts";

const dialect = { metadataPrefix: "x-amz-meta-", versionHeader: "x-amz-version-id" };
const wanted = { offset: 100, lengthBytes: 50, withChecksums: false } as const;
const first = { offset: 0, lengthBytes: 50, withChecksums: true } as const;

function head(status: number, headers: Readonly<Record<string, string | number>>): ResponseHead {
  const lines = Object.entries({ ETag: '"e1"', ...headers }).map(([name, value]) => `${name}: ${value}\r\n`);
  const parsed = parseHead(Buffer.from(`HTTP/1.1 ${status} X\r\n${lines.join("")}\r\n`, "latin1"));
  assert.ok(!(parsed instanceof MalformedHead));
  return parsed;
}

function ranged(firstByte: number, last: number, size: number): ResponseHead {
  const headers = {
    "Content-Range": `bytes ${firstByte}-${last}/${size}`,
    "Content-Length": last - firstByte + 1,
  };
  return head(206, headers);
}

function failsWith(code: ErrorCode, action: () => unknown): void {
  assert.throws(action, (thrown) => thrown instanceof OrcaError && thrown.code === code);
}

test("openHeaders: a range and no condition, or the whole object where its checksums are wanted", () => {
  assert.deepEqual(openHeaders(wanted), { range: "bytes=100-149" });
  assert.deepEqual(openHeaders(first), {});
});

test("openingOf: the size of the object is that of Content-Range, and the bytes end with the object", () => {
  const inside = openingOf(ranged(100, 149, 1000), wanted, dialect, "x");
  assert.deepEqual([inside.head.sizeBytes, inside.head.etag, inside.lengthBytes], [1000, "e1", 50]);
  const atEnd = openingOf(ranged(100, 119, 120), wanted, dialect, "x");
  assert.deepEqual([atEnd.head.sizeBytes, atEnd.lengthBytes], [120, 20]);
});

test("openingOf: a 200 brings the first bytes of a whole object, and none of an empty one", () => {
  const large = openingOf(head(200, { "Content-Length": 1000 }), first, dialect, "x");
  assert.deepEqual([large.head.sizeBytes, large.lengthBytes], [1000, 50]);
  const empty = openingOf(head(200, { "Content-Length": 0 }), first, dialect, "x");
  assert.deepEqual([empty.head.sizeBytes, empty.lengthBytes], [0, 0]);
  const small = openingOf(
    head(200, { "Content-Length": 9 }),
    { ...first, withChecksums: false },
    dialect,
    "x",
  );
  assert.deepEqual([small.head.sizeBytes, small.lengthBytes], [9, 9]);
});

test("openingOf: an origin that ignores ranges is not supported", () => {
  failsWith("origin_unsupported", () =>
    openingOf(head(200, { "Content-Length": 1000 }), wanted, dialect, "x"),
  );
  failsWith("origin_unsupported", () =>
    openingOf(head(200, { "Content-Length": 1000 }), { ...first, withChecksums: false }, dialect, "x"),
  );
});

test("openingOf: without a usable ETag there is no version", () => {
  failsWith("origin_missing_etag", () =>
    openingOf(head(200, { ETag: 'W/"e1"', "Content-Length": 9 }), first, dialect, "x"),
  );
});

test("openingOf: accepts exactly the range that was asked for, whatever the origin says", () => {
  const number = fc.nat({ max: 300 });
  fc.assert(
    fc.property(number, number, number, number, (from, last, size, length) => {
      const said = { "Content-Range": `bytes ${from}-${last}/${size}`, "Content-Length": length };
      const isRight = from === 100 && last === Math.min(150, size) - 1 && last >= 100 && length === last - 99;
      const open = (): unknown => openingOf(head(206, said), wanted, dialect, "x");
      if (isRight) open();
      else failsWith("origin_unavailable", open);
    }),
  );
  for (const range of ["", "bytes */1000", "bytes 100-149/*", "items 100-149/1000", "bytes 100-149/1e3"])
    failsWith("origin_unavailable", () =>
      openingOf(head(206, { "Content-Range": range, "Content-Length": 50 }), wanted, dialect, "x"),
    );
});

test("openingOf: the last bytes are exactly those that the size of the object says", () => {
  const last = { offset: 0, lengthBytes: 50, withChecksums: false, lastBytes: 10 } as const;
  assert.deepEqual(openHeaders(last), { range: "bytes=-50" });
  const told = (of: ResponseHead) => {
    const { offset, lengthBytes, head: metadata } = openingOf(of, last, dialect, "x");
    return [offset, lengthBytes, metadata.sizeBytes];
  };
  assert.deepEqual(told(ranged(950, 999, 1000)), [950, 50, 1000]);
  assert.deepEqual(told(ranged(0, 19, 20)), [0, 20, 20]);
  assert.deepEqual(told(head(200, { "Content-Length": 0 })), [0, 0, 0]);
  for (const [from, to, size] of [
    [949, 999, 1000],
    [951, 999, 1000],
    [950, 998, 1000],
    [0, 49, 1000],
  ] as const)
    failsWith("origin_unavailable", () => told(ranged(from, to, size)));
  failsWith("origin_unsupported", () => told(head(200, { "Content-Length": 1000 })));
});
