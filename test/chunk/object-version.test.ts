import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { MiB } from "../../src/base/units.ts";
import { ObjectVersion, versionHash } from "../../src/chunk/object-version.ts";

test("ObjectVersion.chunkPath: the golden vectors that are shared with the Go Orca", () => {
  const small = { originId: "origin-a", bucket: "b", objectKey: "k", etag: "e", chunkSizeBytes: 1024 };
  assert.equal(
    new ObjectVersion({ ...small, sizeBytes: 8 * 1024 }).chunkPath(7),
    "origin-a/cc0e4b455e06eb99a21504f612a81a6668b63886990b32c1b3758aae4a33a7ad/7",
  );
  const large = {
    originId: "awss3-garage",
    bucket: "orca-origin",
    objectKey: "dir/obj.bin",
    etag: "9a0364b9e99bb480dd25e1f0284c8555",
    chunkSizeBytes: 8_388_608,
  };
  assert.equal(
    new ObjectVersion({ ...large, sizeBytes: 1 }).chunkPath(0),
    "awss3-garage/5bc6b9145a70bbc75d9ec25cd598ca27c868b4691f86eff99a84ace826013d73/0",
  );
});

test("versionHash: the size of an object is no part of its identity, every other field is", () => {
  const fields = { originId: "o", bucket: "b", objectKey: "k", etag: "e", chunkSizeBytes: 8 * MiB };
  const hashOf = (sizeBytes: number): string => new ObjectVersion({ ...fields, sizeBytes }).hash;
  assert.equal(hashOf(1), hashOf(2));
  const others = [
    { originId: "x" },
    { bucket: "x" },
    { objectKey: "x" },
    { etag: "x" },
    { chunkSizeBytes: 16 * MiB },
  ];
  const hashes = new Set([
    versionHash(fields),
    ...others.map((other) => versionHash({ ...fields, ...other })),
  ]);
  assert.equal(hashes.size, 6);
});

test("versionHash: text moved from one field to the next is another identity", () => {
  const text = fc.string({ unit: "grapheme", maxLength: 8 });
  fc.assert(
    fc.property(text, text, fc.string({ minLength: 1, maxLength: 4 }), (bucket, objectKey, moved) => {
      const rest = { originId: "o", etag: "e", chunkSizeBytes: 1024 };
      assert.notEqual(
        versionHash({ ...rest, bucket: bucket + moved, objectKey }),
        versionHash({ ...rest, bucket, objectKey: moved + objectKey }),
      );
    }),
  );
});

test("versionHash: keys are hashed as UTF-8, by their length in bytes", () => {
  const fields = { originId: "o", bucket: "b", etag: "e", chunkSizeBytes: 1024 };
  assert.notEqual(
    versionHash({ ...fields, objectKey: "ä" }),
    versionHash({ ...fields, objectKey: "a\u0308" }),
  );
});

test("ObjectVersion: knows its chunks", () => {
  const version = new ObjectVersion({
    originId: "o",
    bucket: "b",
    objectKey: "k",
    etag: "e",
    sizeBytes: 20 * MiB,
    chunkSizeBytes: 8 * MiB,
  });
  assert.equal(version.chunkCount, 3);
  assert.deepEqual(
    [0, 1, 2].map((index) => version.chunkLength(index) / MiB),
    [8, 8, 4],
  );
});
