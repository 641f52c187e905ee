import assert from "node:assert/strict";
import { test } from "node:test";
import { Bucket } from "../../src/object/bucket.ts";
import type { Directory } from "../../src/object/directory.ts";
import type { Listings } from "../../src/object/listing-cache.ts";
import type { PartTables } from "../../src/object/parts/part-tables.ts";
import type { ListRequest } from "../../src/origin/origin.ts";
import { rejectsWith } from "../support/rejects-with.ts";

/** None of them is asked by what is tested here. */
const directory = {} as Directory;
const parts = {} as PartTables;
const listings: Listings = { list: () => Promise.reject(new Error("the origin was asked")) };

function bucketWith(prefix: string, rejectsDotSegments = false): Bucket {
  return new Bucket({ name: "b", originBucket: "o", prefix, rejectsDotSegments, directory, listings, parts });
}

test("Bucket.faultOf: segments that a server may resolve are rejected, whatever they lead to", () => {
  const bucket = bucketWith("pub/", true);
  for (const key of ["..", ".", "../private", "a/../b", "a/..", "./a", "a/.", "a/./b", "a\\..\\b", "..\\b"]) {
    assert.equal(bucket.faultOf(key)?.code, "invalid_argument", key);
  }
  for (const key of ["a", "a/b", "...", "a..b", "a/..b", "b../c", ".hidden", "a/.b/c.", "a//b", "%2e%2e/a"]) {
    assert.equal(bucket.faultOf(key), undefined, key);
  }
});

test("Bucket.faultOf: a segment counts that prefix and key make together, and those of the prefix alone do not", () => {
  assert.equal(bucketWith("a/.", true).faultOf("./private")?.code, "invalid_argument");
  assert.equal(bucketWith("a/.", true).faultOf("hidden"), undefined);
  assert.equal(bucketWith("../a/", true).faultOf("b"), undefined);
});

test("Bucket.faultOf: where dot segments are keys of their own, they are served", () => {
  for (const key of ["..", "a/../b", "."]) assert.equal(bucketWith("pub/").faultOf(key), undefined);
});

test("Bucket.faultOf: a key that is longer than 1,024 bytes with the prefix is too long", () => {
  assert.equal(bucketWith("").faultOf("k".repeat(1024)), undefined);
  assert.equal(bucketWith("").faultOf("k".repeat(1025))?.code, "key_too_long");
  assert.equal(bucketWith("pub/").faultOf("k".repeat(1020)), undefined);
  assert.equal(bucketWith("pub/").faultOf("k".repeat(1021))?.code, "key_too_long");
  // Two bytes each.
  assert.equal(bucketWith("pü/").faultOf("é".repeat(510)), undefined);
  assert.equal(bucketWith("pü/").faultOf("é".repeat(511))?.code, "key_too_long");
});

test("Bucket.list: a prefix or start that is too long with the bucket's prefix is not asked for", async () => {
  const request = { prefix: "", delimiter: "", maxKeys: 10, startAfter: "", continuationToken: "" };
  const bucket = bucketWith("pub/");
  await rejectsWith("key_too_long", bucket.list({ ...request, prefix: "k".repeat(1021) }));
  await rejectsWith("key_too_long", bucket.list({ ...request, startAfter: "k".repeat(1021) }));
  await assert.rejects(bucket.list({ ...request, prefix: "k".repeat(1020) }), {
    message: "the origin was asked",
  });
});

test("Bucket.locate, Bucket.list: versions of a bucket with a prefix have the keys that clients use", async () => {
  const asked: ListRequest[] = [];
  const version = { id: "v1", isLatest: true, isDeleteMarker: false };
  const object = { key: "pub/k", sizeBytes: 1, etag: "e", lastModifiedMs: 0, version };
  const bucket = new Bucket({
    name: "b",
    originBucket: "o",
    prefix: "pub/",
    rejectsDotSegments: false,
    directory,
    parts,
    listings: {
      list: async (request) => {
        asked.push(request);
        const nextVersion = { startAfter: "pub/k", versionIdMarker: "v1" };
        return { objects: [object], commonPrefixes: ["pub/d/"], nextContinuationToken: "", nextVersion };
      },
    },
  });
  assert.deepEqual(bucket.locate("k", "v1"), { bucket: "o", key: "pub/k", versionId: "v1" });
  assert.deepEqual(bucket.locate("k"), { bucket: "o", key: "pub/k" });
  const request = { prefix: "", delimiter: "/", maxKeys: 1, startAfter: "a", continuationToken: "" };
  assert.deepEqual(await bucket.list({ ...request, versionIdMarker: "v0" }), {
    objects: [{ ...object, key: "k" }],
    commonPrefixes: ["d/"],
    nextContinuationToken: "",
    nextVersion: { startAfter: "k", versionIdMarker: "v1" },
  });
  assert.deepEqual(asked, [
    { ...request, bucket: "o", prefix: "pub/", startAfter: "pub/a", versionIdMarker: "v0" },
  ]);
});
