import assert from "node:assert/strict";
import { truncateSync } from "node:fs";
import { test } from "node:test";
import { MiB } from "../../../src/base/units.ts";
import { chunkFileSize, storedKeyOf } from "../../../src/store/chunk-file/chunk-file.ts";
import { type ClearedDisk, clearDisk } from "../../../src/store/scrub/disk-clear.ts";
import { rejectsWith } from "../../support/rejects-with.ts";
import { DiskFixture, keyOf, readChunk } from "../disk/disk-fixture.ts";

const never = new AbortController().signal;
const keys = ["a/1", "a/2", "ab", "b/1"].map((objectKey) => keyOf(objectKey, 3 * MiB, 0));

test("clearDisk: lets go of a prefix, of a bucket, of everything, and says how much", async () => {
  const disk = new DiskFixture();
  try {
    const tier = await disk.open();
    for (const key of keys) await disk.put(tier, key);
    const sizeBytes = chunkFileSize(storedKeyOf(keys[0] as (typeof keys)[number]));
    const below = { originId: "origin-a", bucket: "bucket", keyPrefix: "a/" };
    assert.deepEqual(await clearDisk(tier, { ...below, bucket: "bucket2" }, never), { chunks: 0, bytes: 0 });
    assert.deepEqual(await clearDisk(tier, { ...below, originId: "origin-b" }, never), {
      chunks: 0,
      bytes: 0,
    });
    assert.deepEqual(await clearDisk(tier, below, never), { chunks: 2, bytes: 2 * sizeBytes });
    assert.deepEqual(
      keys.map((key) => tier.presence(key)),
      ["absent", "absent", "held", "held"],
    );
    assert.equal(disk.bytesOnDisk(), tier.usedBytes);
    for (const key of keys) await disk.put(tier, key);
    assert.equal((await clearDisk(tier, { ...below, keyPrefix: "" }, never)).chunks, 4);
    for (const key of keys) await disk.put(tier, key);
    assert.equal((await clearDisk(tier, undefined, never)).chunks, 4);
    assert.deepEqual([tier.usedBytes, disk.chunkFiles()], [0, []]);
  } finally {
    await disk.close();
  }
});

test("clearDisk: a file that does not say whose it is stays for a scrub, unless everything goes", async () => {
  const disk = new DiskFixture();
  try {
    const tier = await disk.open();
    for (const key of keys) await disk.put(tier, key);
    truncateSync(disk.pathOf(keys[0] as (typeof keys)[number]), MiB);
    const prefix = { originId: "origin-a", bucket: "bucket", keyPrefix: "a/" };
    assert.equal((await clearDisk(tier, prefix, never)).chunks, 1);
    assert.ok(await readChunk(tier, keys[3] as (typeof keys)[number]));
    assert.equal((await clearDisk(tier, undefined, never)).chunks, 3);
    assert.deepEqual(disk.chunkFiles(), []);
  } finally {
    await disk.close();
  }
});

test("clearDisk: after a restart, a prefix is still found", async () => {
  const disk = new DiskFixture();
  try {
    const first = await disk.open();
    for (const key of keys) await disk.put(first, key);
    await first.close(60_000);
    const tier = disk.openUnscanned();
    const cleared = await clearDisk(tier, { originId: "origin-a", bucket: "bucket", keyPrefix: "a" }, never);
    assert.deepEqual([cleared.chunks, tier.chunkCount], [3, 1]);
  } finally {
    await disk.close();
  }
});

test("clearDisk: a signal ends it between two chunks, and what is cleared by then stays so", async () => {
  const gone = new AbortController();
  const discarded: string[] = [];
  const disk = {
    directory: "/nowhere",
    ready: Promise.resolve(),
    paths: () => new Set(["one", "two", "three"]).values(),
    isSetAside: false,
    discard: async (path: string) => {
      discarded.push(path);
      if (path === "two") gone.abort(new Error("gone"));
      return 1;
    },
  };
  await assert.rejects(clearDisk(disk, undefined, gone.signal), { message: "gone" });
  assert.deepEqual(discarded, ["one", "two"]);
});

test("clearDisk: a disk that is set aside is an error, and none of its chunks is forgotten", async () => {
  const disk: ClearedDisk = {
    directory: "/nowhere",
    ready: Promise.withResolvers<void>().promise,
    paths: () => new Set(["one"]).values(),
    isSetAside: true,
    discard: () => assert.fail("nothing is deleted"),
  };
  await rejectsWith("overloaded", clearDisk(disk, undefined, new AbortController().signal));
});
