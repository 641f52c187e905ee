import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { type ErrorCode, OrcaError } from "../../src/base/orca-error.ts";
import { contentCodingOf } from "../../src/chunk/content-coding.ts";
import { MalformedHead, parseHead, type ResponseHead } from "../../src/http-client/response-head.ts";
import { etagField } from "../../src/mesh/codec/object-name.ts";
import {
  checkRangeResponse,
  objectHeadOf,
  rangeHeaders,
  strongEtag,
  userAgentHeaders,
} from "../../src/origin/http-object.ts";

const range = {
  bucket: "b",
  key: "k",
  etag: "e1",
  objectSizeBytes: 1000,
  offset: 100,
  lengthBytes: 50,
} as const;
const whole = { ...range, offset: 0, lengthBytes: 1000 } as const;
const dialect = { metadataPrefix: "x-amz-meta-", versionHeader: "x-amz-version-id" };

function head(status: number, headers: Readonly<Record<string, string | number>>): ResponseHead {
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  const parsed = parseHead(Buffer.from(`HTTP/1.1 ${status} X\r\n${lines.join("")}\r\n`, "latin1"));
  assert.ok(!(parsed instanceof MalformedHead));
  return parsed;
}

function failsWith(code: ErrorCode, action: () => unknown): void {
  assert.throws(action, (thrown) => thrown instanceof OrcaError && thrown.code === code);
}

const good = { ETag: '"e1"', "Content-Range": "bytes 100-149/1000", "Content-Length": 50 };

test("userAgentHeaders: the id in a comment, escaped, or no header", () => {
  assert.deepEqual(userAgentHeaders(undefined), {});
  assert.deepEqual(userAgentHeaders("00AB"), { "user-agent": "orca (request 00AB)" });
  assert.deepEqual(userAgentHeaders("a(b)\\c"), { "user-agent": "orca (request a\\(b\\)\\\\c)" });
});

test("rangeHeaders: an inclusive range and a quoted If-Match", () => {
  assert.deepEqual(rangeHeaders(range), { range: "bytes=100-149", "if-match": '"e1"' });
});

test("checkRangeResponse: a 206 with exactly the range, and a 200 to the whole object", () => {
  checkRangeResponse(head(206, good), range, "x");
  checkRangeResponse(head(200, { ETag: '"e1"', "Content-Length": 1000 }), whole, "x");
  checkRangeResponse(
    head(206, { ...good, "Content-Range": "bytes 0-999/1000", "Content-Length": 1000 }),
    whole,
    "x",
  );
});

for (const [name, code, status, changed, request] of [
  ["another version", "origin_etag_changed", 206, { ETag: '"e2"' }, range],
  ["another version, whole", "origin_etag_changed", 200, { ETag: '"e2"' }, range],
  ["the same tag, but weak", "origin_missing_etag", 206, { ETag: 'W/"e1"' }, range],
  ["an empty tag", "origin_missing_etag", 206, { ETag: '""' }, range],
  ["a 200 to a range", "origin_unsupported", 200, { "Content-Length": 1000 }, range],
  ["a 200 to a range that is as long", "origin_unsupported", 200, {}, range],
  ["a 204", "origin_unsupported", 204, {}, whole],
  [
    "a range that starts elsewhere",
    "origin_unavailable",
    206,
    { "Content-Range": "bytes 99-148/1000" },
    range,
  ],
  ["a range of another total", "origin_unavailable", 206, { "Content-Range": "bytes 100-149/1001" }, range],
  ["a range of an unknown total", "origin_unavailable", 206, { "Content-Range": "bytes 100-149/*" }, range],
  ["a shorter body", "origin_unavailable", 206, { "Content-Length": 49 }, range],
  ["a longer body", "origin_unavailable", 206, { "Content-Length": 51 }, range],
  ["a whole object of another length", "origin_unavailable", 200, { "Content-Length": 999 }, whole],
] as const) {
  test(`checkRangeResponse: ${name} is ${code}`, () => {
    failsWith(code, () => checkRangeResponse(head(status, { ...good, ...changed }), request, "x"));
  });
}

for (const [said, sent, isAccepted] of [
  ["", undefined, true],
  ["", "identity", true],
  ["", "aws-chunked", true],
  ["gzip", "GZIP", true],
  ["gzip", "aws-chunked, gzip", true],
  ["gzip,br", "gzip , br", true],
  [undefined, "gzip", true],
  ["", "gzip", false],
  ["gzip", undefined, false],
  ["gzip", "br", false],
  ["gzip", "gzip, gzip", false],
] as const) {
  const name = `metadata that says "${said}" and bytes with Content-Encoding "${sent}" are ${isAccepted ? "accepted" : "origin_unsupported"}`;
  test(`checkRangeResponse: ${name}`, () => {
    const answer = head(206, { ...good, ...(sent !== undefined && { "Content-Encoding": sent }) });
    const check = () => checkRangeResponse(answer, { ...range, contentCoding: said }, "x");
    if (isAccepted) check();
    else failsWith("origin_unsupported", check);
  });
}

test("contentCodingOf: one that is too long is not compared", () => {
  assert.equal(contentCodingOf("x".repeat(128)), "x".repeat(128));
  assert.equal(contentCodingOf("x".repeat(129)), undefined);
});

test("checkRangeResponse: a 206 without Content-Range is origin_unavailable", () => {
  failsWith("origin_unavailable", () =>
    checkRangeResponse(head(206, { ETag: '"e1"', "Content-Length": 50 }), range, "x"),
  );
});

const headers = { ETag: '"e1"', "Content-Length": 5, "Last-Modified": "Thu, 01 Jan 2026 00:00:07 GMT" };

test("objectHeadOf: everything a client must get back", () => {
  const found = objectHeadOf(
    head(200, {
      ...headers,
      "Content-Type": "text/plain",
      "Content-Encoding": "gzip",
      "Content-Language": "de",
      "Content-Disposition": "inline",
      "Cache-Control": "no-store",
      Expires: "never",
      "x-amz-version-id": "v7",
      "x-amz-storage-class": "STANDARD_IA",
      "x-amz-website-redirect-location": "/elsewhere",
      "X-Amz-Meta-Colour": "blue",
      "x-amz-meta-__proto__": "odd",
      "x-amz-meta-": "nameless",
      "x-amz-checksum-crc32": "AAAAAA==",
      "x-amz-checksum-type": "FULL_OBJECT",
    }),
    dialect,
    "x",
  );
  assert.deepEqual(found, {
    sizeBytes: 5,
    etag: "e1",
    lastModifiedMs: Date.UTC(2026, 0, 1, 0, 0, 7),
    contentType: "text/plain",
    contentEncoding: "gzip",
    contentLanguage: "de",
    contentDisposition: "inline",
    cacheControl: "no-store",
    expires: "never",
    versionId: "v7",
    storageClass: "STANDARD_IA",
    websiteRedirectLocation: "/elsewhere",
    checksums: { "x-amz-checksum-crc32": "AAAAAA==", "x-amz-checksum-type": "FULL_OBJECT" },
    metadata: Object.fromEntries([
      ["colour", "blue"],
      ["__proto__", "odd"],
    ]),
  });
});

test("objectHeadOf: no, an empty, a weak or an unusable ETag is origin_missing_etag", () => {
  const { ETag: _, ...bare } = headers;
  failsWith("origin_missing_etag", () => objectHeadOf(head(200, bare), dialect, "x"));
  const unusable = ['"a\tb"', "a\tb", `"${"e".repeat(1025)}"`, `"${"\xe9".repeat(513)}"`, '"\x85"'];
  for (const etag of ['""', 'W/"e1"', "", '"a"b"', ...unusable]) {
    failsWith("origin_missing_etag", () => objectHeadOf(head(200, { ...headers, ETag: etag }), dialect, "x"));
  }
});

test("objectHeadOf: no Content-Length is origin_unsupported", () => {
  failsWith("origin_unsupported", () =>
    objectHeadOf(head(200, { ETag: '"e"', "Last-Modified": headers["Last-Modified"] }), dialect, "x"),
  );
});

test("objectHeadOf: without a date, or with one that nobody can write, an object has none", () => {
  const { "Last-Modified": _, ...undated } = headers;
  assert.equal(objectHeadOf(head(200, undated), dialect, "x").lastModifiedMs, undefined);
  for (const date of ["once", "", "Sat, 01 Jan 10000 00:00:00 GMT", "+275000-01-01T00:00:00Z"]) {
    const dated = head(200, { ...headers, "Last-Modified": date });
    assert.equal(objectHeadOf(dated, dialect, "x").lastModifiedMs, undefined, date);
  }
});

test("strongEtag: what it accepts is accepted by the mesh, and what it does not is not", () => {
  const text = fc.oneof(
    fc.string({
      unit: fc.integer({ min: 0, max: 255 }).map((code) => String.fromCharCode(code)),
      maxLength: 8,
    }),
    fc.constantFrom("e".repeat(1024), "e".repeat(1025), "\xe9".repeat(512), "\xe9".repeat(513)),
  );
  fc.assert(
    fc.property(text, (etag) => {
      let isInMesh = true;
      try {
        etagField(etag);
      } catch {
        isInMesh = false;
      }
      assert.equal(strongEtag(`"${etag}"`) !== undefined, isInMesh);
    }),
  );
});

test("strongEtag: with and without quotes", () => {
  assert.equal(strongEtag('"a-1"'), "a-1");
  assert.equal(strongEtag("0x8DC"), "0x8DC");
});
