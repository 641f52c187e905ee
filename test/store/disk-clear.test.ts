import assert from "node:assert/strict";
import { truncateSync } from "node:fs";
import { test } from "node:test";
import { MiB } from "../../src/base/units.ts";
import { chunkFileSize, identityOf } from "../../src/store/chunk-file.ts";
import { clearDisk } from "../../src/store/disk-clear.ts";
import { DiskFixture, readChunk, refOf } from "./disk-fixture.ts";

const refs = ["a/1", "a/2", "ab", "b/1"].map((key) => refOf(key, 3 * MiB, 0));

test("clearDisk: lets go of a prefix, of a bucket, of everything, and says how much", async () => {
  const disk = new DiskFixture();
  try {
    const tier = await disk.open();
    for (const ref of refs) await disk.put(tier, ref);
    const sizeBytes = chunkFileSize(identityOf(refs[0] as (typeof refs)[number]));
    const below = { originId: "origin-a", bucket: "bucket", keyPrefix: "a/" };
    assert.deepEqual(await clearDisk(tier, { ...below, bucket: "bucket2" }), { chunks: 0, bytes: 0 });
    assert.deepEqual(await clearDisk(tier, { ...below, originId: "origin-b" }), { chunks: 0, bytes: 0 });
    assert.deepEqual(await clearDisk(tier, below), { chunks: 2, bytes: 2 * sizeBytes });
    assert.deepEqual(
      refs.map((ref) => tier.presence(ref)),
      ["absent", "absent", "held", "held"],
    );
    assert.equal(disk.bytesOnDisk(), tier.usedBytes);
    for (const ref of refs) await disk.put(tier, ref);
    assert.equal((await clearDisk(tier, { ...below, keyPrefix: "" })).chunks, 4);
    for (const ref of refs) await disk.put(tier, ref);
    assert.equal((await clearDisk(tier, undefined)).chunks, 4);
    assert.deepEqual([tier.usedBytes, disk.chunkFiles()], [0, []]);
  } finally {
    await disk.close();
  }
});

test("clearDisk: a file that does not say whose it is stays for a scrub, unless everything goes", async () => {
  const disk = new DiskFixture();
  try {
    const tier = await disk.open();
    for (const ref of refs) await disk.put(tier, ref);
    truncateSync(disk.pathOf(refs[0] as (typeof refs)[number]), MiB);
    const prefix = { originId: "origin-a", bucket: "bucket", keyPrefix: "a/" };
    assert.equal((await clearDisk(tier, prefix)).chunks, 1);
    assert.ok(await readChunk(tier, refs[3] as (typeof refs)[number]));
    assert.equal((await clearDisk(tier, undefined)).chunks, 3);
    assert.deepEqual(disk.chunkFiles(), []);
  } finally {
    await disk.close();
  }
});

test("clearDisk: after a restart, a prefix is still found", async () => {
  const disk = new DiskFixture();
  try {
    const first = await disk.open();
    for (const ref of refs) await disk.put(first, ref);
    await first.close(60_000);
    const tier = disk.openUnscanned();
    const cleared = await clearDisk(tier, { originId: "origin-a", bucket: "bucket", keyPrefix: "a" });
    assert.deepEqual([cleared.chunks, tier.chunkCount], [3, 1]);
  } finally {
    await disk.close();
  }
});
