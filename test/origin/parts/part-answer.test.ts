import assert from "node:assert/strict";
import { test } from "node:test";
import { MalformedHead, parseHead, type ResponseHead } from "../../../src/http-client/response-head.ts";
import { objectPartOf, partOfRefusal } from "../../../src/origin/parts/part-answer.ts";
import { throwsWith } from "../../support/throws-with.ts";

const etag = "0123-3";
const request = { bucket: "b", key: "k", etag, objectSizeBytes: 100, partNumber: 2 };

function head(status: number, headers: Readonly<Record<string, string | number>>): ResponseHead {
  const lines = Object.entries({ ETag: `"${etag}"`, ...headers }).map(
    ([name, value]) => `${name}: ${value}\r\n`,
  );
  const parsed = parseHead(Buffer.from(`HTTP/1.1 ${status} X\r\n${lines.join("")}\r\n`, "latin1"));
  assert.ok(!(parsed instanceof MalformedHead));
  return parsed;
}

const second = { "Content-Range": "bytes 60-89/100", "Content-Length": 30, "x-amz-mp-parts-count": 3 };

test("objectPartOf: the range and the number of parts", () => {
  const part = objectPartOf(head(206, second), request, "x");
  assert.deepEqual(part, { kind: "range", start: 60, end: 90, count: 3 });
});

test("objectPartOf: the whole range without a count is an object of one part, and nothing else is", () => {
  const whole = { "Content-Range": "bytes 0-99/100", "Content-Length": 100 };
  const first = { ...request, partNumber: 1 };
  assert.deepEqual(objectPartOf(head(206, whole), first, "x"), { kind: "whole" });
  assert.deepEqual(objectPartOf(head(206, whole), request, "x"), { kind: "untold", count: 0 });
  const { "x-amz-mp-parts-count": _, ...uncounted } = second;
  assert.deepEqual(objectPartOf(head(206, uncounted), first, "x"), { kind: "untold", count: 0 });
});

test("objectPartOf: an origin that ignores the part does not tell it, unless the object was put at once", () => {
  const ignored = head(200, { "Content-Length": 100 });
  for (const partNumber of [1, 2])
    assert.deepEqual(objectPartOf(ignored, { ...request, partNumber }, "x"), { kind: "untold", count: 0 });
  const putAtOnce = head(200, { ETag: '"custom"', "Content-Length": 100 });
  assert.deepEqual(objectPartOf(putAtOnce, { ...request, etag: "custom" }, "x"), { kind: "whole" });
});

test("objectPartOf: from a length without a range follow the first and the last part", () => {
  const answer = head(200, { "Content-Length": 30, "x-amz-mp-parts-count": 3 });
  const at = (partNumber: number) => objectPartOf(answer, { ...request, partNumber }, "x");
  assert.deepEqual(at(1), { kind: "range", start: 0, end: 30, count: 3 });
  assert.deepEqual(at(2), { kind: "untold", count: 3 });
  assert.deepEqual(at(3), { kind: "range", start: 70, end: 100, count: 3 });
});

for (const [name, changed] of [
  ["a size that is not the object's", { "Content-Range": "bytes 60-89/101" }],
  ["a range beyond the end", { "Content-Range": "bytes 60-100/100", "Content-Length": 41 }],
  ["a range that is none", { "Content-Range": "bytes */100" }],
  ["a length of another range", { "Content-Length": 31 }],
  ["more parts than there can be", { "x-amz-mp-parts-count": 10_001 }],
  ["no part", { "x-amz-mp-parts-count": 0 }],
  ["fewer parts than this one", { "x-amz-mp-parts-count": 1 }],
  ["a second part at the beginning", { "Content-Range": "bytes 0-29/100" }],
] as const) {
  test(`objectPartOf: ${name} is no answer`, () => {
    throwsWith("origin_unavailable", () => objectPartOf(head(206, { ...second, ...changed }), request, "x"));
  });
}

test("objectPartOf: another version, or none, is told apart", () => {
  throwsWith("origin_etag_changed", () =>
    objectPartOf(head(206, { ...second, ETag: '"new"' }), request, "x"),
  );
  throwsWith("origin_missing_etag", () =>
    objectPartOf(head(206, { ...second, ETag: 'W/"weak"' }), request, "x"),
  );
});

test("partOfRefusal: an origin without the part, and one without parts", () => {
  for (const status of [400, 416]) {
    assert.deepEqual(partOfRefusal(status, 2), { kind: "absent", count: 0 });
    assert.deepEqual(partOfRefusal(status, 1), { kind: "untold", count: 0 });
  }
  assert.deepEqual(partOfRefusal(501, 2), { kind: "untold", count: 0 });
  for (const status of [200, 206, 403, 404, 412, 500, 503]) assert.equal(partOfRefusal(status, 2), undefined);
});
