/**
 * What every ChunkStore must do, whatever it keeps chunks on. The suite knows a store by its interface alone, so that a
 * new tier is finished when it passes, and readers may go from one tier to the next without knowing which it is.
 */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Clock } from "../../src/base/clock.ts";
import { type MemoryBudget, segmentSizeBytes } from "../../src/base/memory-budget.ts";
import { MiB } from "../../src/base/units.ts";
import { ObjectVersion } from "../../src/chunk/object-version.ts";
import type { ChunkKey, ChunkStore } from "../../src/store/chunk-store.ts";
import { chunkOf, segmentOf } from "../support/chunk-of.ts";
import { assertPattern } from "../support/pattern.ts";

export interface StoreFixture {
  /** Fresh and empty, ready to answer, with room for at least 64 MiB. */
  readonly store: ChunkStore;
  /** Where the suite takes its chunks from: at least 64 MiB beside what the store needs. */
  readonly budget: MemoryBudget;
  readonly clock: Clock;
  /** Stops the store and takes away what it left, memory included. */
  cleanup(): Promise<void>;
}

const chunkSizeBytes = 3 * MiB;
/** Two whole chunks and one of a full segment and an odd rest. */
const objectSizeBytes = 2 * chunkSizeBytes + MiB + 12_345;

/** Registers the suite for one kind of store. `makeFixture` is called once per test. */
export function storeContract(name: string, makeFixture: () => Promise<StoreFixture> | StoreFixture): void {
  /** Runs `body` on a fresh store, and fails where the store keeps a hold on memory that was lent to it. */
  const criterion = (title: string, body: (fixture: StoreFixture) => Promise<void>): void => {
    test(`${name}: ${title}`, async () => {
      const fixture = await makeFixture();
      try {
        await body(fixture);
      } finally {
        await fixture.cleanup();
      }
      assert.equal(fixture.budget.usedBytes, 0, "every segment and reservation has been given back");
    });
  };

  describe(`${name} keeps the contract of ChunkStore`, () => {
    criterion("a chunk that was never put is a miss", async ({ store }) => {
      const key = keyOf(versionOf("cold"), 0);
      assert.notEqual(store.presence(key), "held");
      assert.equal(await readBlock(store, key, 0), undefined);
      assert.notEqual(store.presence(key), "held");
    });

    criterion("a chunk that was put is held, block by block", async ({ store, budget }) => {
      const version = versionOf("whole");
      await putAll(store, budget, version);
      for (let index = 0; index < version.chunkCount; index += 1) {
        assert.equal(store.presence(keyOf(version, index)), "held");
        await assertHeld(store, keyOf(version, index));
      }
    });

    criterion("blocks are read in any order and at the same time", async ({ store, budget }) => {
      const key = keyOf(versionOf("whole"), 0);
      await put(store, budget, key);
      const blockIndices = [2, 0, 1, 1, 2, 0];
      const blocks = await Promise.all(blockIndices.map((blockIndex) => readBlock(store, key, blockIndex)));
      for (const [position, block] of blocks.entries()) {
        assert.ok(block, "a held chunk is read");
        assertPattern(block, seedOf(key), (blockIndices[position] as number) * segmentSizeBytes);
      }
    });

    criterion("a chunk of one byte is kept", async ({ store, budget }) => {
      const key = keyOf(versionOf("tiny", { sizeBytes: 1 }), 0);
      assert.equal(await put(store, budget, key), "stored");
      await assertHeld(store, key);
    });

    criterion("a chunk that ends with a segment is kept", async ({ store, budget }) => {
      const key = keyOf(versionOf("even", { sizeBytes: 2 * MiB }), 0);
      assert.equal(await put(store, budget, key), "stored");
      await assertHeld(store, key);
    });

    criterion("a second put of the same chunk finds it present", async ({ store, budget }) => {
      const key = keyOf(versionOf("twice"), 0);
      assert.equal(await put(store, budget, key), "stored");
      assert.equal(await put(store, budget, key), "present");
      await assertHeld(store, key);
    });

    criterion("of two puts at once, one stores and the bytes are whole", async ({ store, budget }) => {
      const key = keyOf(versionOf("race"), 0);
      const results = await Promise.all([put(store, budget, key), put(store, budget, key)]);
      assert.equal(results.filter((result) => result === "stored").length, 1);
      await assertHeld(store, key);
    });

    criterion("a put borrows the chunk and leaves its hold to the caller", async ({ store, budget }) => {
      const key = keyOf(versionOf("borrowed"), 0);
      const chunk = chunkOf(budget, key.version.chunkLength(key.index), seedOf(key));
      const putting = store.put(key, chunk);
      assert.equal(await putting, "stored");
      for (const segment of chunk.segments) assert.ok(segment.references >= 1, "the caller's hold is there");
      assertPattern(segmentOf(chunk).bytes, seedOf(key), 0);
      chunk.release();
      await assertHeld(store, key);
    });

    criterion(
      "chunks of other indices, ETags, keys and chunk sizes are strangers",
      async ({ store, budget }) => {
        const version = versionOf("one");
        await put(store, budget, keyOf(version, 1));
        const strangers = [
          keyOf(version, 0),
          keyOf(version, 2),
          keyOf(versionOf("one", { etag: "v2" }), 1),
          keyOf(versionOf("other"), 1),
          keyOf(versionOf("one", { chunkSizeBytes: 2 * MiB }), 1),
          keyOf(versionOf("one", { originId: "origin-b" }), 1),
          keyOf(versionOf("one", { bucket: "other-bucket" }), 1),
        ];
        for (const stranger of strangers) {
          assert.notEqual(store.presence(stranger), "held");
          assert.equal(await readBlock(store, stranger, 0), undefined);
        }
        await assertHeld(store, keyOf(version, 1));
      },
    );

    criterion("versions of one object are kept side by side", async ({ store, budget }) => {
      const first = keyOf(versionOf("two", { etag: "v1" }), 0);
      const second = keyOf(versionOf("two", { etag: "v2" }), 0);
      await put(store, budget, first);
      await put(store, budget, second);
      await assertHeld(store, first);
      await assertHeld(store, second);
    });

    criterion("a deleted chunk is a miss, and may be put again", async ({ store, budget }) => {
      const version = versionOf("deleted");
      await putAll(store, budget, version);
      await store.delete(keyOf(version, 1));
      assert.notEqual(store.presence(keyOf(version, 1)), "held");
      assert.equal(await readBlock(store, keyOf(version, 1), 0), undefined);
      await assertHeld(store, keyOf(version, 0));
      await assertHeld(store, keyOf(version, 2));
      assert.equal(await put(store, budget, keyOf(version, 1)), "stored");
      await assertHeld(store, keyOf(version, 1));
    });

    criterion("deleting what is not held does nothing", async ({ store }) => {
      const key = keyOf(versionOf("never"), 0);
      await store.delete(key);
      await store.delete(key);
      assert.equal(await readBlock(store, key, 0), undefined);
    });

    criterion("a read while the chunk is put or deleted is whole or a miss", async ({ store, budget }) => {
      const key = keyOf(versionOf("contended"), 0);
      for (let round = 0; round < 3; round += 1) {
        const [, whilePut] = await Promise.all([put(store, budget, key), readBlock(store, key, 1)]);
        const [whileDeleted] = await Promise.all([readBlock(store, key, 1), store.delete(key)]);
        for (const block of [whilePut, whileDeleted]) {
          if (block) assertPattern(block, seedOf(key), segmentSizeBytes);
        }
      }
    });

    criterion("keys with any characters are kept apart", async ({ store, budget }) => {
      const objectKeys = ["a/b", "a//b", "a/../b", "a%2Fb", "a b", "a+b", "ä/☃", "a\0b", "x".repeat(1024)];
      const keys = objectKeys.map((objectKey) => keyOf(versionOf(objectKey, { sizeBytes: 1000 }), 0));
      for (const key of keys) assert.equal(await put(store, budget, key), "stored");
      for (const key of keys) await assertHeld(store, key);
    });
  });
}

interface VersionOverrides {
  readonly originId?: string;
  readonly bucket?: string;
  readonly etag?: string;
  readonly sizeBytes?: number;
  readonly chunkSizeBytes?: number;
}

function versionOf(objectKey: string, overrides: VersionOverrides = {}): ObjectVersion {
  const fields = {
    originId: "origin-a",
    bucket: "bucket",
    etag: "v1",
    sizeBytes: objectSizeBytes,
    chunkSizeBytes,
  };
  return new ObjectVersion({ ...fields, ...overrides, objectKey });
}

function keyOf(version: ObjectVersion, index: number): ChunkKey {
  return { version, index };
}

/** Of the version and the index, so that a chunk served for another one shows as wrong bytes. */
function seedOf(key: ChunkKey): number {
  return Number.parseInt(key.version.hash.slice(0, 7), 16) + key.index;
}

async function put(store: ChunkStore, budget: MemoryBudget, key: ChunkKey): Promise<string> {
  const chunk = chunkOf(budget, key.version.chunkLength(key.index), seedOf(key));
  try {
    return await store.put(key, chunk);
  } finally {
    chunk.release();
  }
}

async function putAll(store: ChunkStore, budget: MemoryBudget, version: ObjectVersion): Promise<void> {
  for (let index = 0; index < version.chunkCount; index += 1) {
    assert.equal(await put(store, budget, keyOf(version, index)), "stored");
  }
}

/** The block, or undefined where the store has none. The target is shared memory, as segments are. */
async function readBlock(store: ChunkStore, key: ChunkKey, blockIndex: number): Promise<Buffer | undefined> {
  const restBytes = key.version.chunkLength(key.index) - blockIndex * segmentSizeBytes;
  const target = Buffer.from(new SharedArrayBuffer(Math.min(segmentSizeBytes, restBytes)));
  return (await store.readBlock(key, blockIndex, target)) ? target : undefined;
}

async function assertHeld(store: ChunkStore, key: ChunkKey): Promise<void> {
  assert.equal(store.presence(key), "held");
  const lengthBytes = key.version.chunkLength(key.index);
  for (let blockIndex = 0; blockIndex * segmentSizeBytes < lengthBytes; blockIndex += 1) {
    const block = await readBlock(store, key, blockIndex);
    assert.ok(block, `block ${blockIndex} of a held chunk is read`);
    assertPattern(block, seedOf(key), blockIndex * segmentSizeBytes);
  }
}
