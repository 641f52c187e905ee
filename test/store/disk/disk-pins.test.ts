/** Pins: what they keep, when they end, and what a restart and a damaged file leave of them. */
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { KiB } from "../../../src/base/units.ts";
import type { ChunkKey } from "../../../src/store/chunk-store.ts";
import type { DiskTier } from "../../../src/store/disk/disk-tier.ts";
import { diskCriteria } from "./disk-criteria.ts";
import { type DiskFixture, keyOf, newTuned } from "./disk-fixture.ts";

const criterion = diskCriteria("DiskPins");
const hourMs = 3_600_000;
const small = { maxChunks: 100 } as const;

function keysOf(count: number, prefix: string): ChunkKey[] {
  return Array.from({ length: count }, (_, index) => keyOf(`${prefix}-${index}`, KiB));
}

function heldOf(tier: DiskTier, keys: readonly ChunkKey[]): number {
  return keys.filter((key) => tier.presence(key) === "held").length;
}

async function putAll(fixture: DiskFixture, tier: DiskTier, keys: readonly ChunkKey[]): Promise<void> {
  for (const key of keys) assert.equal(await fixture.put(tier, key), "stored");
}

for (const [name, policy] of [
  ["first in, first out", undefined],
  ["the policy of Orca", newTuned],
] as const) {
  criterion(`eviction leaves pinned chunks until their time, then takes them (${name})`, async (fixture) => {
    const tier = await fixture.open({ ...small, ...(policy && { policy }) });
    const pinned = keysOf(40, "pinned");
    await putAll(fixture, tier, pinned);
    const untilMs = fixture.clock.now() + 24 * hourMs;
    for (const key of pinned) assert.equal(tier.pins.pin(key, untilMs), true);
    assert.deepEqual([tier.pins.count, tier.pins.bytes], [40, tier.usedBytes]);
    await putAll(fixture, tier, keysOf(300, "other"));
    assert.equal(heldOf(tier, pinned), 40);
    assert.ok(tier.chunkCount <= 95);
    assert.equal(tier.chunkCount, fixture.chunkFiles().length);
    await fixture.clock.advance(24 * hourMs);
    assert.deepEqual([tier.pins.count, tier.pins.bytes], [0, 0]);
    await putAll(fixture, tier, keysOf(300, "later"));
    assert.equal(heldOf(tier, pinned), 0);
  });
}

criterion("no more than the share is pinned, in bytes and in count", async (fixture) => {
  const tier = await fixture.open({ ...small, pinShare: 0.1 });
  const keys = keysOf(20, "k");
  await putAll(fixture, tier, keys);
  const untilMs = fixture.clock.now() + hourMs;
  const pinned = keys.map((key) => tier.pins.pin(key, untilMs));
  assert.deepEqual(pinned, [...Array<boolean>(10).fill(true), ...Array<boolean>(10).fill(false)]);
  assert.equal(tier.pins.pin(keys[0] as ChunkKey, untilMs + hourMs), true, "a pin is made longer");
  assert.equal(tier.pins.pin(keyOf("absent", KiB), untilMs), false);
  assert.equal(tier.pins.count, 10);
  await tier.close(60_000);
  const fileBytes = tier.usedBytes / 20;
  const tight = await fixture.open({ maxBytes: fileBytes * 40, pinShare: 0.1 });
  assert.equal(tight.pins.count, 4, "what still fits is restored");
  assert.ok(tight.pins.bytes <= fileBytes * 4);
});

criterion("a share above the low watermark pins no more than that, and commits go on", async (fixture) => {
  const tier = await fixture.open({ ...small, pinShare: 1 });
  const pinned = keysOf(90, "k");
  await putAll(fixture, tier, pinned);
  const untilMs = fixture.clock.now() + hourMs;
  assert.equal(pinned.filter((key) => tier.pins.pin(key, untilMs)).length, 85);
  await putAll(fixture, tier, keysOf(50, "other"));
  assert.equal(heldOf(tier, pinned.slice(0, 85)), 85);
});

criterion("pins survive a restart, and a later end is kept", async (fixture) => {
  const first = await fixture.open(small);
  const pinned = keysOf(40, "pinned");
  await putAll(fixture, first, pinned);
  for (const key of pinned) first.pins.pin(key, fixture.clock.now() + hourMs);
  assert.equal(first.pins.pin(pinned[0] as ChunkKey, fixture.clock.now() + 2 * hourMs), true);
  await first.close(60_000);
  const tier = await fixture.open(small);
  assert.equal(tier.pins.count, 40);
  await putAll(fixture, tier, keysOf(300, "other"));
  assert.equal(heldOf(tier, pinned), 40);
  await fixture.clock.advance(hourMs);
  assert.equal(tier.pins.count, 1);
  assert.deepEqual(fixture.logger.events, []);
});

criterion("a damaged or cut file of pins pins nothing, and a warning says so", async (fixture) => {
  const first = await fixture.open(small);
  const pinned = keysOf(3, "pinned");
  await putAll(fixture, first, pinned);
  for (const key of pinned) first.pins.pin(key, fixture.clock.now() + hourMs);
  await first.close(60_000);
  const file = join(fixture.directory, "pins");
  const whole = readFileSync(file, "utf8");
  const changed = whole.replace("pinned-1", "pinned-9");
  const faults = [
    whole.slice(0, -1),
    whole.slice(0, whole.lastIndexOf("[")),
    "",
    changed,
    "x".repeat(17 << 20),
  ];
  for (const [index, text] of faults.entries()) {
    writeFileSync(file, text);
    const tier = await fixture.open(small);
    assert.equal(tier.pins.count, 0);
    assert.equal(heldOf(tier, pinned), 3, "the chunks stay");
    assert.equal(fixture.logger.events.length, index + 1);
    await tier.close(60_000);
  }
});

criterion("a pin ends with its chunk, with its version, and by a release", async (fixture) => {
  const tier = await fixture.open(small);
  const keys = keysOf(4, "k") as [ChunkKey, ChunkKey, ChunkKey, ChunkKey];
  await putAll(fixture, tier, keys);
  for (const key of keys) tier.pins.pin(key, fixture.clock.now() + hourMs);
  await tier.delete(keys[0]);
  assert.equal(tier.pins.count, 3);
  tier.supersede(keys[1].version);
  assert.equal(tier.pins.count, 2);
  tier.evictFirst(keys[2].version.chunkPath(0), true);
  const { originId, bucket } = keys[2].version;
  const released = tier.pins.release({ originId, bucket, keyPrefix: "k-2" });
  assert.equal(released.chunks, 1);
  assert.deepEqual(
    tier.pins.objects().map(({ objectKey, chunks }) => [objectKey, chunks]),
    [["k-3", 1]],
  );
  await putAll(fixture, tier, keysOf(300, "other"));
  assert.equal(heldOf(tier, keys), 1);
});

criterion("a release before the end of the scan ends the pins of the last run for good", async (fixture) => {
  const first = await fixture.open(small);
  const keys = keysOf(3, "k") as [ChunkKey, ChunkKey, ChunkKey];
  await putAll(fixture, first, keys);
  for (const key of keys) first.pins.pin(key, fixture.clock.now() + hourMs);
  await first.close(60_000);
  const scanning = fixture.openUnscanned(small);
  const { originId, bucket } = keys[0].version;
  assert.deepEqual(scanning.pins.release({ originId, bucket, keyPrefix: "k-1" }), { chunks: 1, bytes: 0 });
  assert.equal(scanning.pins.release({ originId, bucket, keyPrefix: "k-1" }).chunks, 0);
  await scanning.ready;
  assert.equal(scanning.pins.count, 2);
  await scanning.close(60_000);
  const last = fixture.openUnscanned(small);
  last.pins.release({ originId, bucket, keyPrefix: "k-2" });
  await last.close(60_000);
  const tier = await fixture.open(small);
  assert.deepEqual(
    tier.pins.objects().map(({ objectKey }) => objectKey),
    ["k-0"],
  );
});
