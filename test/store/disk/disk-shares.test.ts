/** Shares of the disk: what a bucket keeps, the account of its bytes, and what a restart knows of both. */
import assert from "node:assert/strict";
import { statSync } from "node:fs";
import { test } from "node:test";
import { KiB, MiB } from "../../../src/base/units.ts";
import { ObjectVersion } from "../../../src/chunk/object-version.ts";
import type { ChunkKey } from "../../../src/store/chunk-store.ts";
import type { DiskTier } from "../../../src/store/disk/disk-tier.ts";
import { type DiskShare, noShare, shareNumber } from "../../../src/store/disk/shares/disk-share.ts";
import { diskCriteria } from "./disk-criteria.ts";
import { faultyThread } from "./disk-faulty-thread.ts";
import { type DiskFixture, newTuned, readBlock } from "./disk-fixture.ts";

const criterion = diskCriteria("DiskShares");
const originId = "origin-a";
const common = { originId, prefix: "", share: 0, priority: "normal" } as const;

function shareOf(name: string, share: number, more: Partial<DiskShare> = {}): DiskShare {
  return { ...common, name, bucket: name, share, ...more };
}

/** 100 chunks at most: evictions begin at 95, and leave 85. */
const small = {
  maxChunks: 100,
  policy: newTuned,
  shares: [shareOf("kept", 0.4)],
} as const;

function keyIn(bucket: string, objectKey: string, sizeBytes = KiB, index = 0): ChunkKey {
  const fields = { originId, bucket, objectKey, etag: "e", sizeBytes, chunkSizeBytes: 8 * MiB };
  return { version: new ObjectVersion(fields), index };
}

function keysIn(bucket: string, count: number, prefix = "k"): ChunkKey[] {
  return Array.from({ length: count }, (_, index) => keyIn(bucket, `${prefix}-${index}`));
}

function heldOf(tier: DiskTier, keys: readonly ChunkKey[]): number {
  return keys.filter((key) => tier.presence(key) === "held").length;
}

async function putAll(fixture: DiskFixture, tier: DiskTier, keys: readonly ChunkKey[]): Promise<void> {
  for (const key of keys) assert.equal(await fixture.put(tier, key), "stored");
}

/** As the files say, and not the account. */
function bytesOf(fixture: DiskFixture, keys: readonly ChunkKey[]): number {
  return keys.reduce(
    (sum, key) => sum + (statSync(fixture.pathOf(key), { throwIfNoEntry: false })?.size ?? 0),
    0,
  );
}

function bytesByName(tier: DiskTier): Record<string, number> {
  return Object.fromEntries((tier.shares?.figures() ?? []).map(({ bucket, bytes }) => [bucket, bytes]));
}

criterion("a scan of another bucket leaves the share, and takes what is beyond it", async (fixture) => {
  const tier = await fixture.open(small);
  const kept = keysIn("kept", 40);
  await putAll(fixture, tier, kept);
  await putAll(fixture, tier, keysIn("other", 400));
  assert.equal(heldOf(tier, kept), 40);
  const more = keysIn("kept", 30, "more");
  await putAll(fixture, tier, more);
  await putAll(fixture, tier, keysIn("other", 400, "again"));
  assert.equal(heldOf(tier, [...kept, ...more]), 40);
  assert.deepEqual(bytesByName(tier), { kept: bytesOf(fixture, [...kept, ...more]) });
  assert.equal(tier.chunkCount, fixture.chunkFiles().length);
});

criterion("what a bucket does not use of its share is for others", async (fixture) => {
  const tier = await fixture.open(small);
  const others = keysIn("other", 95);
  await putAll(fixture, tier, others);
  assert.equal(heldOf(tier, others), 95);
  assert.deepEqual(bytesByName(tier), { kept: 0 });
  const kept = keysIn("kept", 40);
  await putAll(fixture, tier, kept);
  await putAll(fixture, tier, keysIn("other", 100, "later"));
  assert.equal(heldOf(tier, kept), 40);
});

criterion("a restart knows the share of each file, of partial chunks as well", async (fixture) => {
  const first = await fixture.open(small);
  const kept = keysIn("kept", 30);
  await putAll(fixture, first, kept);
  const large = keyIn("kept", "large", 8 * MiB);
  const chunk = fixture.chunk(large);
  assert.equal(await first.partial.putBlocks(large, 2, chunk.segments.slice(2, 3)), "stored");
  chunk.release();
  const others = keysIn("other", 20);
  await putAll(fixture, first, others);
  const before = bytesByName(first);
  const block = { version: large.version.blocks, index: 2 };
  assert.deepEqual(before, { kept: bytesOf(fixture, [...kept, block]) });
  await first.close(60_000);
  const tier = await fixture.open(small);
  assert.deepEqual(bytesByName(tier), before);
  await putAll(fixture, tier, keysIn("other", 400, "later"));
  assert.equal(heldOf(tier, kept), 30);
  assert.ok(tier.partial.holds(large, 2));
  await tier.close(60_000);
  const without = await fixture.open({ ...small, shares: [] });
  assert.equal(without.shares, undefined);
  await putAll(fixture, without, keysIn("other", 400, "last"));
  assert.equal(heldOf(without, kept), 0);
});

criterion("a chunk that is read before the scan reaches it counts once", async (fixture) => {
  const first = await fixture.open(small);
  const kept = keysIn("kept", 10);
  await putAll(fixture, first, kept);
  await first.close(60_000);
  const tier = fixture.openUnscanned(small);
  for (const key of kept) assert.ok(await readBlock(tier, key));
  await tier.ready;
  assert.deepEqual(bytesByName(tier), { kept: bytesOf(fixture, kept) });
  for (const key of kept) await tier.delete(key);
  assert.deepEqual(bytesByName(tier), { kept: 0 });
});

criterion("pins come on top of a share, and get what shares leave of the low watermark", async (fixture) => {
  const tier = await fixture.open({ ...small, pinShare: 0.5 });
  const kept = keysIn("kept", 40);
  await putAll(fixture, tier, kept);
  const pinned = keysIn("other", 50, "pinned");
  await putAll(fixture, tier, pinned);
  const untilMs = fixture.clock.now() + 3_600_000;
  const results = pinned.map((key) => tier.pins.pin(key, untilMs));
  assert.deepEqual(results.filter(Boolean).length, 45);
  await putAll(fixture, tier, keysIn("other", 300));
  assert.deepEqual([heldOf(tier, kept), heldOf(tier, pinned.slice(0, 45))], [40, 45]);
  assert.ok(tier.chunkCount <= 95);
  for (const key of kept.slice(0, 10)) assert.equal(tier.pins.pin(key, untilMs), false);
  tier.pins.release(undefined);
  for (const key of kept.slice(0, 10)) assert.equal(tier.pins.pin(key, untilMs), true);
  const more = keysIn("kept", 10, "more");
  await putAll(fixture, tier, more);
  await putAll(fixture, tier, keysIn("other", 300, "later"));
  assert.equal(heldOf(tier, [...kept, ...more]), 50, "40 of the share, and ten that are pinned");
  assert.deepEqual(bytesByName(tier), { kept: bytesOf(fixture, [...kept, ...more]) });
});

criterion(
  "beyond the shares a bucket of low priority goes first, one of high priority last",
  async (fixture) => {
    const shares = [shareOf("low", 0.1, { priority: "low" }), shareOf("high", 0, { priority: "high" })];
    const tier = await fixture.open({ ...small, shares });
    const [low, high, others] = [keysIn("low", 30), keysIn("high", 30), keysIn("other", 30)];
    await putAll(fixture, tier, [...high, ...others, ...low]);
    await putAll(fixture, tier, keysIn("other", 15, "more"));
    assert.deepEqual([heldOf(tier, low), heldOf(tier, others), heldOf(tier, high)], [19, 30, 30]);
    await putAll(fixture, tier, keysIn("high", 200, "more"));
    assert.deepEqual([heldOf(tier, low), heldOf(tier, others)], [10, 0]);
  },
);

criterion("a chunk of another version of its object goes first, from within the share", async (fixture) => {
  const tier = await fixture.open(small);
  const kept = keysIn("kept", 20);
  await putAll(fixture, tier, kept);
  for (const key of kept.slice(0, 5)) tier.supersede(key.version);
  await putAll(fixture, tier, keysIn("other", 100));
  assert.deepEqual([heldOf(tier, kept), heldOf(tier, kept.slice(5))], [15, 15]);
});

criterion("a full medium takes from shares, too, where nothing else is left", async (fixture) => {
  const threadModule = faultyThread({ call: "writevSync", code: "ENOSPC", after: 40, times: 1 });
  const tier = await fixture.open({ ...small, threadModule });
  const kept = keysIn("kept", 20);
  await putAll(fixture, tier, kept);
  assert.equal(await fixture.put(tier, keyIn("kept", "full")), "not_stored");
  assert.equal(await fixture.put(tier, keyIn("kept", "after")), "stored");
  assert.equal(heldOf(tier, kept), 16, "15 % of the bytes were evicted, in whole chunks");
  assert.deepEqual(bytesByName(tier), {
    kept: bytesOf(fixture, [...kept, keyIn("kept", "after")]),
  });
});

criterion("a victim that could not be unlinked is of its share again", async (fixture) => {
  const shares = [shareOf("low", 0, { priority: "low" })];
  const tier = await fixture.open({
    ...small,
    shares,
    threadModule: faultyThread({ call: "unlinkSync", code: "EIO", after: 95, times: 1 }),
  });
  const low = keysIn("low", 95);
  await putAll(fixture, tier, low);
  await fixture.put(tier, keyIn("other", "new"));
  await fixture.put(tier, keyIn("other", "newer"));
  assert.equal(tier.stats.errorsByCode["EIO"], 1);
  assert.deepEqual(bytesByName(tier), { low: bytesOf(fixture, low) });
  assert.equal(tier.chunkCount, fixture.chunkFiles().length);
});

test("shareNumber: the bucket's own place before all others, and the longest prefix of it", () => {
  const places = [
    { originId, bucket: undefined, prefix: "" },
    { originId, bucket: "data", prefix: "" },
    { originId, bucket: "data", prefix: "team/a/" },
    { originId, bucket: "data", prefix: "team/" },
    { originId: "origin-b", bucket: "data", prefix: "" },
    { originId, bucket: "part", prefix: "shown/" },
  ];
  const numberOf = (bucket: string, objectKey: string, id: string = originId): number =>
    shareNumber(places, { originId: id, bucket, objectKey });
  assert.deepEqual(
    [
      numberOf("data", "x"),
      numberOf("data", "team/a/x"),
      numberOf("data", "team/b/x"),
      numberOf("data", "team/x", "origin-b"),
      numberOf("other", "team/a/x"),
      numberOf("part", "hidden/x"),
      numberOf("data", "team/a/x", `${originId}~blocks`),
      numberOf("data", "x", "origin-c"),
    ],
    [2, 3, 4, 5, 1, 1, 3, noShare],
  );
});
