import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { test } from "node:test";
import { crc32 } from "node:zlib";
import fc from "fast-check";
import { MiB } from "../../../src/base/units.ts";
import { ObjectVersion } from "../../../src/chunk/object-version.ts";
import {
  type ChunkFooter,
  chunkFilePath,
  chunkFileSize,
  chunkPathOfFileName,
  decodeFooter,
  encodeFooter,
  footerLength,
  type StoredChunkKey,
  storedKeyEquals,
  trailerLengthBytes,
} from "../../../src/store/chunk-file/chunk-file.ts";

const goldenKey: StoredChunkKey = {
  originId: "origin-a",
  bucket: "b",
  objectKey: "k",
  etag: "e",
  chunkSizeBytes: 1024,
  objectSizeBytes: 7 * 1024 + 5,
  index: 7,
};

function footerOf(storedKey: StoredChunkKey, bytes: Buffer): ChunkFooter {
  const blockCrcs = new Uint32Array(Math.ceil(bytes.length / MiB));
  for (let block = 0; block < blockCrcs.length; block += 1) {
    blockCrcs[block] = crc32(bytes.subarray(block * MiB, (block + 1) * MiB));
  }
  const sha256 = createHash("sha256").update(bytes).digest();
  return { storedKey, lengthBytes: bytes.length, blockCrcs, sha256 };
}

const goldenFooter = footerOf(goldenKey, Buffer.from("hello"));

test("encodeFooter: the format is frozen", () => {
  assert.equal(
    encodeFooter(goldenFooter).toString("hex"),
    [
      "86a61036", // CRC-32 of "hello"
      "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824", // its SHA-256
      "08000000000000006f726967696e2d61", // origin-a
      "010000000000000062", // b
      "01000000000000006b", // k
      "010000000000000065", // e
      "0004000000000000", // chunk size 1024
      "051c000000000000", // object size 7173
      "0700000000000000", // index 7
      "0500000000000000", // 5 bytes
      "83000000", // footer of 131 bytes
      "35a3b628", // CRC-32 of all before
      "01000000", // version 1
      "6f72636163686e6b", // orcachnk
    ].join(""),
  );
});

test("chunkFilePath: the name contains origin, hash and index, below the first two characters of the hash", () => {
  const version = new ObjectVersion({ ...goldenKey, sizeBytes: goldenKey.objectSizeBytes });
  const hash = "cc0e4b455e06eb99a21504f612a81a6668b63886990b32c1b3758aae4a33a7ad";
  assert.equal(chunkFilePath("/d", version.chunkPath(7)), `/d/cc/origin-a.${hash}.7`);
});

test("chunkPathOfFileName: is the inverse of chunkFilePath for any origin id", () => {
  const hash = "0f".repeat(32);
  fc.assert(
    fc.property(fc.string({ minLength: 1, unit: "grapheme" }), fc.nat(), (originId, index) => {
      const path = `${originId}/${hash}/${index}`;
      const name = chunkFilePath("", path).slice("/0f/".length);
      assert.ok(!name.includes("/"));
      assert.equal(chunkPathOfFileName(name), path);
    }),
  );
});

test("chunkPathOfFileName: foreign names are undefined, never an error", () => {
  const hash = "0f".repeat(32);
  for (const name of [
    "",
    "a",
    `a.${hash}`,
    `a.${hash}.01`,
    `a.${hash}.-1`,
    `a.${hash.toUpperCase()}.1`,
    `%.${hash}.1`,
  ]) {
    assert.equal(chunkPathOfFileName(name), undefined, name);
  }
  fc.assert(fc.property(fc.string(), (name) => void chunkPathOfFileName(name)));
});

test("decodeFooter: returns the encoded footer, from any longer tail", () => {
  const texts = fc.string({ unit: "grapheme", maxLength: 40 });
  const storedKeys = fc.record(
    {
      originId: texts,
      bucket: texts,
      objectKey: texts,
      etag: texts,
      chunkSizeBytes: fc.integer({ min: 1, max: 3 * MiB }),
      objectSizeBytes: fc.integer({ min: 1, max: 3 * MiB }),
      index: fc.constant(0),
    },
    { noNullPrototype: true },
  );
  fc.assert(
    fc.property(storedKeys, fc.uint8Array({ maxLength: 50 }), (storedKey, before) => {
      const bytes = Buffer.alloc(Math.min(storedKey.chunkSizeBytes, storedKey.objectSizeBytes), 1);
      const encoded = encodeFooter(footerOf(storedKey, bytes));
      assert.equal(encoded.length, footerLength(storedKey));
      assert.equal(chunkFileSize(storedKey), bytes.length + encoded.length);
      const decoded = decodeFooter(Buffer.concat([before, encoded]));
      assert.ok(typeof decoded !== "string");
      assert.ok(storedKeyEquals(decoded.storedKey, storedKey));
      assert.deepEqual(decoded, footerOf(storedKey, bytes));
    }),
    { numRuns: 30 },
  );
});

test("decodeFooter: any flipped bit is found, in every field", () => {
  const encoded = encodeFooter(goldenFooter);
  for (let bit = 0; bit < encoded.length * 8; bit += 1) {
    const flipped = Buffer.from(encoded);
    flipped[bit >> 3] = (flipped[bit >> 3] as number) ^ (1 << (bit & 7));
    assert.equal(typeof decodeFooter(flipped), "string", `bit ${bit}`);
  }
});

test("decodeFooter: returns the fault", () => {
  const encoded = encodeFooter(goldenFooter);
  const withByte = (offsetFromEnd: number, value: number): Buffer => {
    const changed = Buffer.from(encoded);
    changed[changed.length - offsetFromEnd] = value;
    return changed;
  };
  assert.equal(decodeFooter(encoded.subarray(-trailerLengthBytes + 1)), "truncated");
  assert.equal(decodeFooter(encoded.subarray(0, -1)), "magic");
  assert.equal(decodeFooter(withByte(1, 0)), "magic");
  assert.equal(decodeFooter(withByte(12, 2)), "version");
  assert.equal(decodeFooter(withByte(19, 0xff)), "footer-length");
  assert.equal(decodeFooter(encoded.subarray(1)), "footer-length");
  assert.equal(decodeFooter(withByte(encoded.length, 0)), "checksum");
});

test("decodeFooter: fields that contradict each other are malformed although the checksum is right", () => {
  const otherLength = encodeFooter({ ...goldenFooter, lengthBytes: 6 });
  assert.equal(decodeFooter(otherLength), "malformed");
  const longText = Buffer.from(encodeFooter(goldenFooter));
  longText.writeBigUInt64LE(2n ** 40n, 36);
  longText.writeUInt32LE(crc32(longText.subarray(0, -16)), longText.length - 16);
  assert.equal(decodeFooter(longText), "malformed");
});

test("decodeFooter: any bytes are a footer or a fault, never an error", () => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => void decodeFooter(Buffer.from(bytes))));
});
