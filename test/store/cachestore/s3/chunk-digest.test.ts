import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { suite, test } from "node:test";
import { crc32 } from "node:zlib";
import {
  blockCrcsOf,
  type ChunkDigest,
  digestHeaders,
  digestOf,
} from "../../../../src/store/cachestore/s3/chunk-digest.ts";
import { patternBytes } from "../../../support/pattern.ts";

const blocks = [patternBytes(1, 0, 2 ** 20), patternBytes(1, 2 ** 20, 77)];
const headersOf = (digest: ChunkDigest) => new Map(Object.entries(digestHeaders(digest, 12)));

/** The metadata size that S3 counts: names without their prefix, and values. */
function metadataBytes(blockCount: number): number {
  const headers = digestHeaders(
    { sha256: "0".repeat(64), blockCrcs: new Uint32Array(blockCount) },
    Number.MAX_SAFE_INTEGER,
  );
  const prefixBytes = "x-amz-meta-".length;
  return Object.entries(headers).reduce(
    (sum, [name, value]) => sum + name.length - prefixBytes + value.length,
    0,
  );
}

suite("ChunkDigest", () => {
  test("digestOf: SHA-256 of the whole, CRC-32 of each block", () => {
    const { sha256, blockCrcs } = digestOf(blocks);
    assert.equal(sha256, createHash("sha256").update(Buffer.concat(blocks)).digest("hex"));
    assert.deepEqual(
      [...blockCrcs],
      blocks.map((block) => crc32(block)),
    );
  });

  test("digestHeaders: known values in frozen names", () => {
    assert.deepEqual(digestHeaders(digestOf([Buffer.from("123456789")]), 9), {
      "x-amz-meta-orca-object-size": "9",
      "x-amz-meta-orca-sha256": "15e2b0d3c33891ebb0f1ef609ec419420c20e320ce94c65fbc8c3312448eb225",
      // 0xcbf43926, the check value of CRC-32, little-endian.
      "x-amz-meta-orca-crc32": "Jjn0yw==",
    });
  });

  test("blockCrcsOf: is the inverse of digestHeaders", () => {
    const digest = digestOf(blocks);
    assert.deepEqual(blockCrcsOf(headersOf(digest), 2), digest.blockCrcs);
  });

  test("blockCrcsOf: no checksums are absent; a wrong number of them or other text is malformed", () => {
    const headers = headersOf(digestOf(blocks));
    assert.equal(blockCrcsOf(new Map(), 2), "absent");
    assert.equal(blockCrcsOf(headers, 3), "malformed");
    for (const text of ["", "?", "AAAAAAAAAA", "AAAAAAAAAAA= "]) {
      assert.equal(blockCrcsOf(new Map([["x-amz-meta-orca-crc32", text]]), 2), "malformed");
    }
  });

  test("digestHeaders: stays below the 2 KB of metadata that S3 allows", () => {
    assert.ok(metadataBytes(256) > 1024 && metadataBytes(256) < 1536);
    assert.ok(metadataBytes(257) < 128);
  });
});
