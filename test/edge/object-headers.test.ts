import assert from "node:assert/strict";
import { validateHeaderName, validateHeaderValue } from "node:http";
import { test } from "node:test";
import fc from "fast-check";
import { flatOf, linesOf } from "../../src/edge/headers/header-lines.ts";
import { ObjectHeaders } from "../../src/edge/object-headers.ts";
import { wholeObject } from "../../src/edge/range.ts";
import type { ObjectHead } from "../../src/origin/origin.ts";
import { anyText } from "../support/any-text.ts";

const head: ObjectHead = {
  sizeBytes: 1000,
  etag: "9a0364b9",
  lastModifiedMs: Date.UTC(2025, 5, 1, 12, 0, 0),
  contentType: "text/plain",
  contentEncoding: "gzip",
  contentLanguage: "en",
  contentDisposition: 'attachment; filename="a.txt"',
  cacheControl: "max-age=60",
  expires: "Sun, 01 Jun 2025 13:00:00 GMT",
  versionId: "v1",
  storageClass: "STANDARD_IA",
  websiteRedirectLocation: "/elsewhere",
  metadata: { owner: "me" },
};
const bare: ObjectHead = { sizeBytes: 0, etag: "e", lastModifiedMs: 0, metadata: {} };

/** The headers by name. Fails on a name sent twice. */
function byName(lines: string): Record<string, string> {
  const headers: Record<string, string> = {};
  const flat = flatOf(lines);
  assert.equal(linesOf(flat), lines);
  for (let index = 0; index < flat.length; index += 2) {
    const name = flat[index] as string;
    assert.equal(headers[name], undefined, `${name} is sent once`);
    headers[name] = flat[index + 1] as string;
  }
  return headers;
}

const body = (of: ObjectHead, overrides: readonly string[] = []): Record<string, string> =>
  byName(new ObjectHeaders(of, "").forBody(wholeObject, "ID", "orca; hit", overrides));

test("ObjectHeaders.forBody: a whole object has all that the origin said of it", () => {
  assert.deepEqual(body(head), {
    ETag: '"9a0364b9"',
    "Last-Modified": "Sun, 01 Jun 2025 12:00:00 GMT",
    "Cache-Control": "max-age=60",
    Expires: "Sun, 01 Jun 2025 13:00:00 GMT",
    "Accept-Ranges": "bytes",
    "Content-Type": "text/plain",
    "Content-Encoding": "gzip",
    "Content-Language": "en",
    "Content-Disposition": 'attachment; filename="a.txt"',
    "x-amz-version-id": "v1",
    "x-amz-storage-class": "STANDARD_IA",
    "x-amz-website-redirect-location": "/elsewhere",
    "x-amz-meta-owner": "me",
    "Content-Length": "1000",
    "x-amz-request-id": "ID",
    "Cache-Status": "orca; hit",
  });
});

test("ObjectHeaders: without a date of the origin, there is no Last-Modified", () => {
  const undated = { ...head, lastModifiedMs: undefined };
  assert.equal("Last-Modified" in body(undated), false);
  assert.equal(
    new ObjectHeaders(undated, "").forNotModified("ID", "orca; hit").includes("Last-Modified"),
    false,
  );
});

test("ObjectHeaders.forBody: what the origin did not say is not sent, but for the default type", () => {
  assert.deepEqual(body(bare), {
    ETag: '"e"',
    "Last-Modified": "Thu, 01 Jan 1970 00:00:00 GMT",
    "Accept-Ranges": "bytes",
    "Content-Type": "binary/octet-stream",
    "Content-Length": "0",
    "x-amz-request-id": "ID",
    "Cache-Status": "orca; hit",
  });
});

test("ObjectHeaders.forBody: a part is a range that tells how many parts there are", () => {
  const checked = { ...head, checksums: { "x-amz-checksum-crc32": "AAAAAA==" } };
  const part = { kind: "range", start: 10, end: 20, partsCount: 3 } as const;
  const headers = byName(new ObjectHeaders(checked, "").forBody(part, "ID", "orca; hit", [], "ENABLED"));
  assert.equal(headers["x-amz-mp-parts-count"], "3");
  assert.equal(headers["Content-Range"], "bytes 10-19/1000");
  assert.equal("x-amz-checksum-crc32" in headers, false);
});

test("ObjectHeaders.forBody: a range has its own length and its place", () => {
  const headers = new ObjectHeaders(head, "").forBody(
    { kind: "range", start: 10, end: 20 },
    "ID",
    "orca; hit",
    [],
  );
  assert.equal(byName(headers)["Content-Length"], "10");
  assert.equal(byName(headers)["Content-Range"], "bytes 10-19/1000");
});

test("ObjectHeaders.forBody: overrides take the place of the object's own headers, and browsers must not guess a type", () => {
  const headers = body(head, ["Content-Type", "image/png", "Cache-Control", "no-store"]);
  assert.equal(headers["Content-Type"], "image/png");
  assert.equal(headers["Cache-Control"], "no-store");
  assert.equal(headers["X-Content-Type-Options"], "nosniff");
  const names = [...Object.keys(body(head)), "X-Content-Type-Options"];
  assert.deepEqual(Object.keys(headers).sort(), names.sort());
});

test("ObjectHeaders.forBody: one response does not show in the next", () => {
  const headers = new ObjectHeaders(head, "");
  headers.forBody(wholeObject, "FIRST", "orca; hit", ["Content-Type", "image/png"]);
  headers.forBody(wholeObject, "SECOND", "orca; hit", []);
  assert.deepEqual(byName(headers.forBody(wholeObject, "ID", "orca; hit", [])), body(head));
});

test("ObjectHeaders.forNotModified: validators and freshness only", () => {
  assert.deepEqual(byName(new ObjectHeaders(head, "").forNotModified("ID", "orca; hit")), {
    ETag: '"9a0364b9"',
    "Last-Modified": "Sun, 01 Jun 2025 12:00:00 GMT",
    "Cache-Control": "max-age=60",
    Expires: "Sun, 01 Jun 2025 13:00:00 GMT",
    "x-amz-request-id": "ID",
    "Cache-Status": "orca; hit",
  });
});

test("ObjectHeaders: metadata that a header cannot hold is encoded, a name that cannot be is counted", () => {
  const headers = body({
    ...bare,
    metadata: { title: "日本", note: "a\r\nSet-Cookie: x", latin: "é", "a b": "1", "": "" },
  });
  assert.equal(headers["x-amz-meta-title"], "=?UTF-8?B?5pel5pys?=");
  assert.equal(
    headers["x-amz-meta-note"],
    `=?UTF-8?B?${Buffer.from("a\r\nSet-Cookie: x").toString("base64")}?=`,
  );
  assert.equal(headers["x-amz-meta-latin"], "é");
  assert.equal(headers["x-amz-meta-"], undefined);
  assert.equal(headers["x-amz-missing-meta"], "2");
});

test("ObjectHeaders: a header that node:http would refuse is left out", () => {
  const headers = body({
    ...head,
    contentType: "text/\u0000plain",
    contentDisposition: "日本",
    cacheControl: "a\nb",
    lastModifiedMs: Number.NaN,
  });
  assert.equal(headers["Content-Type"], "binary/octet-stream");
  for (const name of ["Content-Disposition", "Cache-Control", "Last-Modified"]) {
    assert.equal(headers[name], undefined);
  }
});

test("ObjectHeaders: node:http takes the headers of any object", () => {
  const text = anyText();
  const optional = fc.option(text, { nil: undefined });
  const anyHead = fc.record({
    sizeBytes: fc.maxSafeNat(),
    etag: text,
    lastModifiedMs: fc.double(),
    contentType: optional,
    contentEncoding: optional,
    contentLanguage: optional,
    contentDisposition: optional,
    cacheControl: optional,
    expires: optional,
    versionId: optional,
    metadata: fc.dictionary(text, text),
  });
  fc.assert(
    fc.property(anyHead, (anything) => {
      const headers = new ObjectHeaders(anything, "");
      for (const lines of [
        headers.forBody(wholeObject, "ID", "orca; hit", []),
        headers.forNotModified("ID", "orca; hit"),
      ]) {
        for (const [name, value] of Object.entries(byName(lines))) {
          validateHeaderName(name);
          validateHeaderValue(name, value);
        }
      }
    }),
  );
});

test("ObjectHeaders: an expired answer says for how long it was stale, and its age", () => {
  const headers = new ObjectHeaders(head, "host", { ageMs: 300_001, expiredMs: 1 });
  const status = "orca; fwd=stale; ttl=-1; detail=memory";
  for (const lines of [
    headers.forBody({ kind: "whole" }, "id", "orca; hit; detail=memory", []),
    headers.forBody({ kind: "range", start: 0, end: 5 }, "id", "orca; hit; detail=memory", []),
    headers.forNotModified("id", "orca; hit; detail=memory"),
  ]) {
    assert.equal(byName(lines)["Cache-Status"], status);
    assert.equal(byName(lines).Age, "301");
  }
});
