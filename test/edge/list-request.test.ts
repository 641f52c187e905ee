import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { OrcaError } from "../../src/base/orca-error.ts";
import { encodeContinuationToken } from "../../src/edge/continuation-token.ts";
import { type ListObjectsRequest, parseListRequest } from "../../src/edge/list-request.ts";
import { anyText } from "../support/any-text.ts";

type Parameters = Readonly<Record<string, string>>;

const parse = (kind: ListObjectsRequest["kind"], parameters: Parameters): ListObjectsRequest | OrcaError =>
  parseListRequest(kind, "bucket", new Map(Object.entries(parameters)));

function accepted(kind: ListObjectsRequest["kind"], parameters: Parameters): ListObjectsRequest {
  const request = parse(kind, parameters);
  assert.ok(!(request instanceof OrcaError), JSON.stringify(parameters));
  return request;
}

function refusal(kind: ListObjectsRequest["kind"], parameters: Parameters): string {
  const request = parse(kind, parameters);
  assert.ok(request instanceof OrcaError, JSON.stringify(parameters));
  return request.code;
}

/** Where the origin goes on for a V1 marker. */
function startAfter(marker: string, prefix: string, delimiter: string): string {
  const request = accepted("list-objects-v1", { marker, prefix, delimiter });
  assert.equal(request.after, marker);
  return request.startAfter;
}

test("parseListRequest: an empty query lists a bucket in pages of 1000", () => {
  assert.deepEqual(accepted("list-objects-v2", {}), {
    kind: "list-objects-v2",
    bucket: "bucket",
    prefix: "",
    delimiter: "",
    maxKeys: 1000,
    encodesKeys: false,
    after: "",
    continuationToken: "",
    startAfter: "",
    fetchesOwner: false,
    originToken: "",
    versionIdMarker: undefined,
  });
});

test("parseListRequest: prefix, delimiter and start-after are taken as they are", () => {
  const request = accepted("list-objects-v2", {
    prefix: "a b/é",
    delimiter: "ab",
    "start-after": "x",
    "fetch-owner": "true",
    marker: "ignored",
    "X-Amz-Signature": "0",
  });
  assert.deepEqual([request.prefix, request.delimiter, request.startAfter], ["a b/é", "ab", "x"]);
});

test("parseListRequest: max-keys is clamped to 1000, and 0 is 0", () => {
  for (const [text, maxKeys] of [
    ["0", 0],
    ["1", 1],
    ["0012", 12],
    ["1000", 1000],
    ["1001", 1000],
    ["2147483647", 1000],
    ["", 1000],
  ] as const) {
    assert.equal(accepted("list-objects-v2", { "max-keys": text }).maxKeys, maxKeys, text);
  }
});

test("parseListRequest: a max-keys that is no number from 0 on is an invalid_argument", () => {
  for (const text of ["-1", "abc", "1.5", "1e3", " 1", "2147483648", "99999999999", "0x10", "\n"]) {
    assert.equal(refusal("list-objects-v2", { "max-keys": text }), "invalid_argument", text);
  }
});

test("parseListRequest: encoding-type is url or nothing", () => {
  assert.equal(accepted("list-objects-v2", { "encoding-type": "url" }).encodesKeys, true);
  assert.equal(accepted("list-objects-v2", { "encoding-type": "" }).encodesKeys, false);
  assert.equal(refusal("list-objects-v1", { "encoding-type": "base64" }), "invalid_argument");
});

test("parseListRequest: texts longer than a key can be are a key_too_long", () => {
  for (const name of ["prefix", "delimiter", "start-after"]) {
    assert.equal(refusal("list-objects-v2", { [name]: "é".repeat(513) }), "key_too_long");
    accepted("list-objects-v2", { [name]: "é".repeat(512) });
  }
  assert.equal(refusal("list-objects-v1", { marker: "x".repeat(1025) }), "key_too_long");
});

test("parseListRequest: a continuation token gives the origin's token back, with the start-after beside it", () => {
  const token = encodeContinuationToken("origin/token", { bucket: "bucket", prefix: "p", delimiter: "/" });
  const request = accepted("list-objects-v2", {
    prefix: "p",
    delimiter: "/",
    "continuation-token": token,
    "start-after": "p/a",
  });
  assert.equal(request.originToken, "origin/token");
  assert.equal(request.continuationToken, token);
  assert.equal(request.startAfter, "p/a");
});

test("parseListRequest: a continuation token that is none of ours is an invalid_argument", () => {
  const ofAnotherList = encodeContinuationToken("t", { bucket: "bucket", prefix: "q", delimiter: "" });
  for (const token of ["", "garbage", ofAnotherList]) {
    assert.equal(refusal("list-objects-v2", { "continuation-token": token }), "invalid_argument", token);
  }
  const scope = { bucket: "bucket", prefix: "", delimiter: "" };
  const longest = encodeContinuationToken("t".repeat(8192), scope);
  assert.equal(accepted("list-objects-v2", { "continuation-token": longest }).originToken.length, 8192);
  const tooLong = encodeContinuationToken("t".repeat(8193), scope);
  assert.equal(refusal("list-objects-v2", { "continuation-token": tooLong }), "invalid_argument");
  assert.equal(accepted("list-objects-v1", { "continuation-token": "garbage" }).originToken, "");
});

test("parseListRequest: a V1 marker that is a common prefix, or lies in one, goes on behind all that lies under it", () => {
  assert.equal(startAfter("a/", "", "/"), "a/\u{10FFFF}");
  assert.equal(startAfter("p/a/", "p/", "/"), "p/a/\u{10FFFF}");
  assert.equal(startAfter("a--", "", "--"), "a--\u{10FFFF}");
  assert.equal(startAfter("p/", "p/", "/"), "p/");
  // As AWS: LocalStack's recorded answers, `test_list_objects_marker_common_prefixes`.
  assert.equal(startAfter("a/b", "", "/"), "a/\u{10FFFF}");
  assert.equal(startAfter("a/b/", "", "/"), "a/\u{10FFFF}");
  assert.equal(startAfter("p/a--b--c", "p/", "--"), "p/a--\u{10FFFF}");
  assert.equal(startAfter("ab", "", "/"), "ab");
  assert.equal(startAfter("a/", "", ""), "a/");
  assert.equal(startAfter("a/", "z", "/"), "a/");
});

test("parseListRequest: versions begin after a key, or after a version of it", () => {
  const marked = { "key-marker": "k", "version-id-marker": "v1", marker: "x", "start-after": "x" };
  const request = accepted("list-object-versions", marked);
  assert.deepEqual([request.after, request.startAfter, request.versionIdMarker], ["k", "k", "v1"]);
  assert.equal(accepted("list-object-versions", { "key-marker": "k" }).versionIdMarker, "");
  assert.equal(accepted("list-objects-v2", { "version-id-marker": "" }).versionIdMarker, undefined);
  for (const [key, id] of [
    ["", "v1"],
    ["k", ""],
    ["k", "a b"],
    ["k", "x".repeat(1025)],
  ] as const) {
    const parameters = { "key-marker": key, "version-id-marker": id };
    assert.equal(refusal("list-object-versions", parameters), "invalid_argument", id);
  }
});

test("parseListRequest: any query is a list or a fault of the client", () => {
  const names = fc.constantFrom(
    "prefix",
    "delimiter",
    "max-keys",
    "encoding-type",
    "marker",
    "start-after",
    "continuation-token",
  );
  const queries = fc.dictionary(fc.oneof(names, fc.string()), fc.oneof(anyText(), fc.integer().map(String)));
  fc.assert(
    fc.property(fc.constantFrom("list-objects-v1", "list-objects-v2"), queries, (kind, parameters) => {
      const request = parse(kind, parameters);
      if (request instanceof OrcaError) assert.equal(request.source, "client");
      else assert.ok(request.maxKeys >= 0 && request.maxKeys <= 1000);
    }),
  );
});
