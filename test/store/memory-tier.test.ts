import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { MemoryBudget } from "../../src/base/memory-budget.ts";
import { SeededRandom } from "../../src/base/random.ts";
import { KiB, MiB } from "../../src/base/units.ts";
import type { ChunkBytes } from "../../src/chunk/chunk-bytes.ts";
import { ObjectVersion } from "../../src/chunk/object-version.ts";
import { MemoryTier } from "../../src/store/memory-tier.ts";
import { storeContract } from "../contract/store.ts";
import { chunkOf, partialChunkOf, segmentOf } from "../support/chunk-of.ts";
import { FakeClock, settle } from "../support/fake-clock.ts";
import { assertPattern } from "../support/pattern.ts";
import { MemoryStore } from "./memory-store.ts";

function tierOf(maxBytes: number) {
  const clock = new FakeClock();
  const budget = new MemoryBudget({ maxBytes, clock, poison: true });
  return { clock, budget, tier: new MemoryTier({ budget }) };
}

/** Puts a chunk that only the tier holds, as after the end of a flight. */
function fill(
  budget: MemoryBudget,
  tier: MemoryTier,
  path: string,
  lengthBytes = MiB,
  seed = 1,
  ahead = false,
): void {
  const chunk = chunkOf(budget, lengthBytes, seed);
  tier.put(path, chunk, ahead);
  chunk.release();
}

storeContract("MemoryTier", () => {
  const { clock, budget, tier } = tierOf(128 * MiB);
  return { store: new MemoryStore(tier), budget, clock, cleanup: async () => void tier.clear() };
});

test("MemoryTier: get counts hits and misses, peek counts nothing", () => {
  const { budget, tier } = tierOf(8 * MiB);
  assert.equal(tier.get("a"), undefined);
  fill(budget, tier, "a", 2 * MiB + 5, 3);
  const chunk = tier.get("a");
  assert.ok(chunk);
  assert.equal(chunk.lengthBytes, 2 * MiB + 5);
  assertPattern(segmentOf(chunk, MiB).bytes, 3, MiB);
  assert.equal(tier.peek("a"), chunk);
  assert.equal(tier.peek("b"), undefined);
  assert.deepEqual(tier.stats, { hits: 1, misses: 1, evictions: 0, bytes: 2 * MiB + 5, chunks: 1 });
});

function smallVersion(chunkSizeBytes = MiB): ObjectVersion {
  const fields = { originId: "o", bucket: "b", objectKey: "k", etag: "e", sizeBytes: MiB };
  return new ObjectVersion({ ...fields, chunkSizeBytes });
}

test("MemoryTier.getOf: finds and counts what get does, for each of several objects that are one version", () => {
  const { budget, tier } = tierOf(8 * MiB);
  const [first, second] = [smallVersion(), smallVersion()];
  assert.equal(tier.getOf(first, 0, 0), undefined);
  fill(budget, tier, first.memoryKey(0));
  const chunk = tier.get(first.memoryKey(0));
  for (const version of [first, first, second, first, second]) assert.equal(tier.getOf(version, 0, 0), chunk);
  assert.deepEqual([tier.stats.hits, tier.stats.misses], [6, 1]);
});

test("MemoryTier.getOf: what was dropped is not found, and keeps nothing on the heap", () => {
  const { budget, tier } = tierOf(8 * MiB);
  const [first, second] = [smallVersion(), smallVersion()];
  fill(budget, tier, first.memoryKey(0));
  assert.ok(tier.getOf(first, 0, 0));
  assert.ok(tier.getOf(second, 0, 0));
  assert.deepEqual([first.memoryEntry === undefined, second.memoryEntry === undefined], [true, false]);
  tier.delete(first.memoryKey(0));
  assert.equal(second.memoryEntry, undefined);
  for (const version of [first, second]) assert.equal(tier.getOf(version, 0, 0), undefined);
  fill(budget, tier, first.memoryKey(0), MiB, 2);
  assertPattern(segmentOf(tier.getOf(first, 0, 0)).bytes, 2, 0);
});

test("MemoryTier.getOf: an entry of one tier is none of another, and each of many chunks is its own", () => {
  const [one, other] = [tierOf(8 * MiB), tierOf(8 * MiB)];
  const version = smallVersion();
  fill(one.budget, one.tier, version.memoryKey(0));
  assert.ok(one.tier.getOf(version, 0, 0));
  assert.equal(other.tier.getOf(version, 0, 0), undefined);
  const large = smallVersion(MiB / 2);
  for (const index of [0, 1]) fill(one.budget, one.tier, large.memoryKey(index), MiB / 2, index);
  for (const index of [0, 1, 0, 1]) assertPattern(segmentOf(one.tier.getOf(large, index, 0)).bytes, index, 0);
  assert.equal(other.tier.getOf(large, 1, 0), undefined);
  one.tier.delete(large.memoryKey(1));
  assert.equal(one.tier.getOf(large, 1, 0), undefined);
  assert.ok(one.tier.getOf(large, 0, 0));
  one.tier.delete(large.memoryKey(0));
  assert.equal(large.memoryEntry, undefined);
});

test("MemoryTier.getOf: a version has a map of its entries only while it is linked to several", () => {
  const [{ budget, tier }, version] = [tierOf(8 * MiB), smallVersion(4096)];
  for (const index of [1, 11, 101, 111]) fill(budget, tier, version.memoryKey(index), 4096, index);
  assert.ok(tier.getOf(version, 11, 0) && !(version.memoryEntry instanceof Map));
  for (const index of [0, 10, 21, 100]) assert.equal(tier.getOf(version, index, 0), undefined);
  for (const index of [11, 1, 101, 111, 11])
    assertPattern(segmentOf(tier.getOf(version, index, 0)).bytes, index, 0);
  assert.deepEqual([...(version.memoryEntry as Map<number, object>).keys()], [11, 1, 101, 111]);
  for (const index of [11, 1, 101]) tier.delete(version.memoryKey(index));
  assert.ok(version.memoryEntry && !(version.memoryEntry instanceof Map));
  for (const index of [1, 11, 111]) assert.equal(tier.getOf(version, index, 0) !== undefined, index === 111);
});

test("MemoryTier.put: a chunk that is held already stays, and no hold is taken", () => {
  const { budget, tier } = tierOf(8 * MiB);
  fill(budget, tier, "a", MiB, 1);
  fill(budget, tier, "a", MiB, 2);
  assert.equal(budget.usedBytes, MiB);
  assertPattern(segmentOf(tier.peek("a")).bytes, 1, 0);
  assert.deepEqual([tier.stats.chunks, tier.stats.bytes], [1, MiB]);
});

test("MemoryTier.put: blocks of a chunk that is held in part join it, and one put makes it whole", () => {
  const { budget, tier } = tierOf(16 * MiB);
  const put = (blocks: readonly number[], seed = 1): ChunkBytes | undefined => {
    const chunk = partialChunkOf(budget, 3 * MiB + 10, blocks, seed);
    const whole = tier.put("a", chunk);
    chunk.release();
    return whole;
  };
  assert.equal(put([1]), undefined);
  assert.deepEqual([tier.stats.chunks, tier.stats.bytes, budget.usedBytes], [1, MiB, MiB]);
  assert.equal(tier.get("a", 0), undefined, "a block that is not held is a miss");
  assert.ok(tier.get("a", MiB));
  assert.deepEqual([tier.stats.hits, tier.stats.misses], [1, 1]);
  assert.equal(put([0, 1, 3], 2), undefined);
  assert.deepEqual(
    [tier.stats.bytes, budget.usedBytes],
    [2 * MiB + 10, 3 * MiB],
    "with a slab for the last one",
  );
  assertPattern(segmentOf(tier.peek("a"), MiB).bytes, 1, MiB);
  assert.equal(put([2]), tier.peek("a"));
  assert.equal(put([2]), undefined, "it was whole before");
  assert.equal(tier.stats.bytes, 3 * MiB + 10);
  tier.delete("a");
  assert.deepEqual([tier.stats.bytes, tier.stats.chunks, budget.usedBytes], [0, 0, 0]);
});

test("MemoryTier: a chunk that has grown frees as much as it holds, in any order of puts and evictions", () => {
  const step = fc.record({
    key: fc.nat(4),
    block: fc.nat(3),
    kind: fc.constantFrom("put", "put", "get", "room", "delete"),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const { budget, tier } = tierOf(6 * MiB);
      for (const { key, block, kind } of steps) {
        const name = `k${key}`;
        if (kind === "delete") tier.delete(name);
        else if (kind === "get") tier.get(name, block * MiB);
        else if (kind === "room") budget.tryReserve(4 * MiB)?.release();
        else {
          const chunk = partialChunkOf(budget, 4 * MiB, [block], key);
          tier.put(name, chunk);
          chunk.release();
        }
        const held = [0, 1, 2, 3, 4].map((each) => tier.peek(`k${each}`)?.heldBytes ?? 0);
        assert.equal(
          held.reduce((sum, bytes) => sum + bytes, 0),
          tier.bytes,
        );
        assert.equal(budget.usedBytes, tier.bytes);
      }
      // The policy's sums are right if it finds all of it.
      assert.ok(budget.tryReserve(6 * MiB));
      assert.equal(tier.bytes, 0);
    }),
    { numRuns: 60 },
  );
});

test("MemoryTier.delete and clear: memory is released, and no eviction is counted", () => {
  const { budget, tier } = tierOf(8 * MiB);
  for (const path of ["a", "b", "c"]) fill(budget, tier, path);
  tier.delete("a");
  tier.delete("a");
  assert.equal(budget.usedBytes, 2 * MiB);
  tier.clear();
  assert.equal(budget.usedBytes, 0);
  assert.deepEqual(tier.stats, { hits: 0, misses: 0, evictions: 0, bytes: 0, chunks: 0 });
});

test("MemoryTier: a reservation evicts as many cached chunks as it needs", () => {
  const { budget, tier } = tierOf(4 * MiB);
  for (const path of ["a", "b", "c", "d"]) fill(budget, tier, path);
  const reservation = budget.tryReserve(2 * MiB);
  assert.ok(reservation);
  assert.deepEqual(
    ["a", "b", "c", "d"].map((path) => tier.peek(path) !== undefined),
    [false, false, true, true],
  );
  assert.equal(tier.stats.evictions, 2);
  assert.equal(tier.bytes, 2 * MiB);
});

test("MemoryTier: a chunk that is used survives a scan of many times the memory", () => {
  const { budget, tier } = tierOf(16 * MiB);
  fill(budget, tier, "hot");
  for (let index = 0; index < 100; index += 1) {
    fill(budget, tier, `scan${index}`);
    assert.ok(tier.get("hot"), `after ${index} chunks of the scan`);
  }
});

test("MemoryTier: a reader that holds a segment of an evicted chunk keeps its bytes", () => {
  const { budget, tier } = tierOf(4 * MiB);
  fill(budget, tier, "a", 4 * MiB, 9);
  const pinned = segmentOf(tier.get("a"), MiB).retain();
  const reservation = budget.tryReserve(3 * MiB);
  assert.ok(reservation, "three of its four segments are free at once");
  assertPattern(pinned.bytes, 9, MiB);
  pinned.release();
  reservation.release();
  assert.equal(budget.usedBytes, 0);
});

test("MemoryTier: a chunk that others hold as a whole stays, and one that frees memory is evicted", () => {
  const { budget, tier } = tierOf(4 * MiB);
  const committing = chunkOf(budget, MiB);
  tier.put("committing", committing);
  for (const path of ["b", "c", "d"]) fill(budget, tier, path);
  assert.ok(budget.tryReserve(MiB));
  assert.ok(tier.peek("committing"));
  assert.equal(tier.peek("b"), undefined);
  assert.equal(tier.stats.evictions, 1);
  committing.release();
});

test("MemoryTier: if others hold all chunks, a waiting reservation is woken when one is released", async () => {
  const { budget, tier } = tierOf(2 * MiB);
  const chunks = ["a", "b"].map((path) => {
    const chunk = chunkOf(budget, MiB);
    tier.put(path, chunk);
    return chunk;
  });
  let isGranted = false;
  const reserving = budget.reserve(MiB, 1000).then(() => {
    isGranted = true;
  });
  await settle();
  assert.equal(isGranted, false);
  chunks[0]?.release();
  await reserving;
  chunks[1]?.release();
});

test("MemoryTier: a small chunk evicts one small chunk, and uses its memory", () => {
  const { budget, tier } = tierOf(2 * MiB);
  for (let index = 0; index < 512; index += 1) fill(budget, tier, `k${index}`, 4 * KiB);
  assert.equal(tier.stats.evictions, 0);
  fill(budget, tier, "more", 4 * KiB);
  assert.equal(tier.stats.evictions, 1);
  assert.equal(budget.usedBytes, 2 * MiB);
});

test("MemoryTier: a large chunk takes the slabs of a few small ones, whatever their age", () => {
  const { budget, tier } = tierOf(16 * MiB);
  const random = new SeededRandom(1);
  for (let index = 0; index < 20_000; index += 1) {
    const path = `k${Math.floor(random.next() ** 2 * 3000)}`;
    if (!tier.get(path)) fill(budget, tier, path, 16 * KiB);
  }
  assert.equal(tier.stats.chunks, 16 * 64);
  const evictionsBefore = tier.stats.evictions;
  fill(budget, tier, "large", 2 * MiB);
  // And those that the policy gave first, whose slabs had chunks that are used.
  const alone = tier.stats.evictions - evictionsBefore - 2 * 64;
  assert.ok(alone >= 0 && alone <= 2 * 128, `${alone} evictions of single chunks`);
});

test("MemoryTier: a small chunk that is being read keeps its slab, but the others in it are evicted", () => {
  const { budget, tier } = tierOf(2 * MiB);
  for (let index = 0; index < 8; index += 1) fill(budget, tier, `k${index}`, 256 * KiB);
  const reader = segmentOf(tier.peek("k1")).retain();
  assert.ok(budget.tryReserve(MiB));
  assert.ok(tier.peek("k1"));
  assertPattern(reader.bytes, 1, 0);
  assert.equal(budget.usedBytes, 2 * MiB);
  reader.release();
});

test("MemoryTier: small chunks that are used stay when one in their slab is evicted for a large one", () => {
  const { budget, tier } = tierOf(16 * MiB);
  // Two slabs of small chunks, in each of which some are never used.
  for (let key = 0; key < 512; key += 1) fill(budget, tier, `small${key}`, 4 * KiB);
  const used = Array.from({ length: 512 }, (_, key) => `small${key}`).filter((_, key) => key % 10 !== 0);
  for (let number = 0; number < 100; number += 1) {
    for (const key of used) assert.ok(tier.get(key), `${key} after ${number} large chunks`);
    fill(budget, tier, `large${number}`, 2 * MiB);
  }
  assert.equal(tier.peek("small0"), undefined);
  assert.equal(tier.peek("large0"), undefined);
});

test("MemoryTier: where all chunks are small and used, a large one takes those of one slab", () => {
  const { budget, tier } = tierOf(16 * MiB);
  for (let key = 0; key < 4096; key += 1) fill(budget, tier, `small${key}`, 4 * KiB);
  for (let key = 0; key < 4096; key += 1) assert.ok(tier.get(`small${key}`));
  fill(budget, tier, "large", MiB);
  assert.ok(tier.peek("large"));
  assert.equal(tier.stats.evictions, 256);
});

test("MemoryTier.supersede: the chunks of an old version are evicted first, and only those", () => {
  const { budget, tier } = tierOf(8 * MiB);
  const [old, current] = ["etag-1", "etag-2"].map(
    (etag) =>
      new ObjectVersion({
        originId: "origin-a",
        bucket: "bucket",
        objectKey: "k",
        etag,
        sizeBytes: 3 * MiB,
        chunkSizeBytes: MiB,
      }),
  ) as [ObjectVersion, ObjectVersion];
  for (const path of ["a", "b"]) fill(budget, tier, path);
  for (const index of [0, 2]) fill(budget, tier, old.memoryKey(index));
  for (const index of [0, 1, 2]) fill(budget, tier, current.memoryKey(index));
  for (let use = 0; use < 3; use += 1) tier.get(old.memoryKey(2));
  tier.supersede(old);
  assert.equal(tier.stats.chunks, 7, "nothing goes while there is room");
  const isHeld = (path: string): boolean => tier.peek(path) !== undefined;
  fill(budget, tier, "more", 3 * MiB);
  assert.deepEqual(
    [0, 2].map((index) => isHeld(old.memoryKey(index))),
    [false, false],
  );
  assert.ok(["a", "b", ...[0, 1, 2].map((index) => current.memoryKey(index))].every(isHeld));
});

test("MemoryTier: a chunk fetched ahead stays until its reader comes, whatever is put meanwhile", () => {
  const { budget, tier } = tierOf(16 * MiB);
  for (let index = 0; index < 4; index += 1) fill(budget, tier, `ahead${index}`, MiB, 1, true);
  for (let index = 0; index < 10; index += 1) fill(budget, tier, `other${index}`);
  for (let index = 0; index < 4; index += 1) assert.ok(tier.get(`ahead${index}`));
});

test("MemoryTier.wasSeen: false after the first miss; true after the second, and after an eviction", () => {
  const { budget, tier } = tierOf(2 * MiB);
  tier.get("a");
  assert.equal(tier.wasSeen("a"), false);
  tier.get("a");
  assert.equal(tier.wasSeen("a"), true);
  assert.equal(tier.wasSeen("never"), false);
  for (const path of ["b", "c", "d"]) fill(budget, tier, path);
  assert.equal(tier.peek("b"), undefined);
  tier.get("b");
  assert.equal(tier.wasSeen("b"), true);
});

test("MemoryTier.wasSeen: a miss is forgotten after the bounded number of other misses", () => {
  const { tier } = tierOf(2 * MiB);
  tier.get("a");
  for (let index = 0; index < 4096; index += 1) tier.get(`other${index}`);
  tier.get("a");
  assert.equal(tier.wasSeen("a"), false);
});

test("MemoryTier.wasSeen: the number of remembered evicted chunks is bounded by the memory that they used", () => {
  const { budget, tier } = tierOf(8 * MiB);
  fill(budget, tier, "large", 7 * MiB);
  const use = (path: string): void => void (tier.get(path), tier.get(path), tier.get(path));
  use("large");
  for (let index = 0; index < 5000; index += 1) fill(budget, tier, `tiny-${index}`, 1);
  assert.ok(tier.peek("large"));
  assert.equal(tier.wasSeen("tiny-0"), false);
  assert.equal(tier.wasSeen("tiny-4000"), true);
});

test("MemoryTier: stays within its bound, with right sums and true bytes, after any steps in any order", () => {
  const step = fc.record({
    kind: fc.constantFrom("get", "get", "fill", "fill", "ahead", "pin", "unpin", "delete"),
    key: fc.nat(20),
    lengthBytes: fc.oneof(fc.integer({ min: 1, max: 20 * KiB }), fc.integer({ min: 1, max: 2 * MiB })),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const { budget, tier } = tierOf(5 * MiB);
      const lengths = new Map<number, number>();
      const pinned: { chunk: ChunkBytes; key: number }[] = [];
      for (const { kind, key, lengthBytes } of steps) {
        const path = `k${key}`;
        const held = tier.peek(path);
        if (kind === "get" && held) assertPattern(segmentOf(tier.get(path)).bytes.subarray(0, 64), key, 0);
        if (kind === "pin" && held) pinned.push({ chunk: held.share(), key });
        if (kind === "delete") tier.delete(path);
        if (kind === "unpin") {
          const user = pinned.shift();
          if (user) assertPattern(segmentOf(user.chunk).bytes.subarray(0, 64), user.key, 0);
          user?.chunk.release();
        }
        if ((kind === "fill" || kind === "ahead") && !held) {
          const reservation = budget.tryReserve(lengthBytes);
          reservation?.release();
          if (reservation) fill(budget, tier, path, lengthBytes, key, kind === "ahead");
          lengths.set(key, lengthBytes);
        }
        const heldKeys = [...lengths.keys()].filter((each) => tier.peek(`k${each}`));
        assert.equal(tier.stats.chunks, heldKeys.length);
        const heldBytes = heldKeys.reduce((total, each) => total + (lengths.get(each) as number), 0);
        assert.equal(tier.bytes, heldBytes);
        assert.ok(budget.usedBytes <= budget.maxBytes);
      }
      for (const { chunk } of pinned) chunk.release();
      tier.clear();
      assert.equal(budget.usedBytes, 0);
    }),
    { numRuns: 60 },
  );
});
