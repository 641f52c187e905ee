import assert from "node:assert/strict";
import { suite, test } from "node:test";
import fc from "fast-check";
import { MemoryBudget, type Segment } from "../../../src/base/memory-budget.ts";
import { KiB, MiB } from "../../../src/base/units.ts";
import { ObjectVersion } from "../../../src/chunk/object-version.ts";
import { blockKeyOf, setBlock } from "../../../src/store/shared-index/block-key.ts";
import { keyWords, noRow } from "../../../src/store/shared-index/pin-protocol.ts";
import { SharedBlocks } from "../../../src/store/shared-index/shared-blocks.ts";
import { SharedIndex } from "../../../src/store/shared-index/shared-index.ts";
import { FakeClock } from "../../support/fake-clock.ts";
import { readWhileEvicting } from "./index-readers.ts";

const budgetOf = (maxBytes: number): MemoryBudget =>
  new MemoryBudget({ maxBytes, clock: new FakeClock(), poison: true });

function segmentOf(budget: MemoryBudget, text: string, lengthBytes = 4 * KiB): Segment {
  const segment = budget.tryReserve(lengthBytes)?.takeSegment(lengthBytes);
  assert(segment !== undefined);
  segment.bytes.fill(text);
  return segment;
}

function keyOf(...words: number[]): Int32Array {
  const key = new Int32Array(keyWords);
  key.set(words);
  return key;
}

function viewOf(index: SharedIndex): SharedBlocks {
  const blocks = new SharedBlocks(index.memory);
  index.subscribe((slab, number) => blocks.addSlab(slab, number));
  return blocks;
}

const turn = (): Promise<void> => new Promise((resolve) => void setImmediate(resolve));

suite("SharedIndex", () => {
  test("insert: a reader finds the bytes of the block, and of no other", () => {
    const [index, budget] = [new SharedIndex(4), budgetOf(MiB)];
    const blocks = viewOf(index);
    assert.equal(index.insert(keyOf(1), segmentOf(budget, "a")), 1);
    assert.equal(index.insert(keyOf(2), segmentOf(budget, "b", 100)), 2);
    const row = blocks.pin(keyOf(2));
    assert.equal(row, 2);
    assert.deepEqual(blocks.slice(row, 10, 15), Buffer.from("bbbbb"));
    assert.equal(blocks.slice(row, 10, 4096).length, 90);
    assert.equal(blocks.pin(keyOf(3)), noRow);
    assert.equal(blocks.pin(keyOf(2, 1)), noRow);
    assert.deepEqual(index.stats, { rows: 2, full: 0 });
  });

  test("insert: a full index holds no further block, and counts it", () => {
    const [index, budget] = [new SharedIndex(2), budgetOf(MiB)];
    const { rows, table } = index.memory;
    assert.deepEqual([rows.byteLength, table.byteLength], [3 * 64, 4 * 4]);
    assert.equal(index.insert(keyOf(1), segmentOf(budget, "a")), 1);
    assert.equal(index.insert(keyOf(2), segmentOf(budget, "b")), 2);
    assert.equal(index.insert(keyOf(3), segmentOf(budget, "c")), noRow);
    assert.deepEqual(index.stats, { rows: 2, full: 1 });
  });

  test("remove: the memory of a block that nobody has pinned is free at once", () => {
    const [index, budget] = [new SharedIndex(4), budgetOf(MiB)];
    const segment = segmentOf(budget, "a");
    index.remove(index.insert(keyOf(1), segment), segment);
    segment.release();
    assert.equal(budget.usedBytes, 0);
    assert.equal(index.condemned, 0);
    assert.equal(viewOf(index).pin(keyOf(1)), noRow);
  });

  test("remove: a pinned block keeps its bytes until its last reader has left, and its row is used again then", async () => {
    const [index, budget] = [new SharedIndex(1), budgetOf(MiB)];
    const blocks = viewOf(index);
    const segment = segmentOf(budget, "a");
    const row = index.insert(keyOf(1), segment);
    assert.equal(index.isPinned(row), false);
    for (let pins = 0; pins < 2; pins += 1) assert.equal(blocks.pin(keyOf(1)), row);
    assert.equal(index.isPinned(row), true);
    index.remove(row, segment);
    segment.release();
    const other = segmentOf(budget, "b");
    assert.equal(index.insert(keyOf(2), other), noRow);
    assert.equal(blocks.pin(keyOf(1)), noRow);
    blocks.unpin(row);
    await turn();
    assert.deepEqual(blocks.slice(row, 0, 3), Buffer.from("aaa"));
    assert.equal(index.condemned, 1);
    blocks.unpin(row);
    await turn();
    assert.equal(index.condemned, 0);
    assert.equal(index.insert(keyOf(2), other), row);
    assert.deepEqual(blocks.slice(blocks.pin(keyOf(2)), 0, 3), Buffer.from("bbb"));
  });

  test("pin: a thread that has not heard of a slab misses, and holds no pin", () => {
    const [index, budget] = [new SharedIndex(1), budgetOf(MiB)];
    const row = index.insert(keyOf(1), segmentOf(budget, "a"));
    assert.equal(new SharedBlocks(index.memory).pin(keyOf(1)), noRow);
    assert.equal(index.isPinned(row), false);
  });

  test("takeUses: returns the uses since the last call, up to a bound", () => {
    const [index, budget] = [new SharedIndex(1), budgetOf(MiB)];
    const blocks = viewOf(index);
    const row = index.insert(keyOf(1), segmentOf(budget, "a"));
    for (let uses = 0; uses < 3; uses += 1) blocks.use(row);
    assert.equal(index.takeUses(row), 3);
    assert.equal(index.takeUses(row), 0);
    for (let uses = 0; uses < 1000; uses += 1) blocks.use(row);
    assert.equal(index.takeUses(row), 8);
  });

  test("insert and remove: after any of them, exactly the blocks that are held are found", () => {
    // Few homes, so that rows stand far from theirs.
    const key = fc.integer({ min: 0, max: 11 }).map((number) => [number % 3, number] as const);
    fc.assert(
      fc.property(fc.array(key, { maxLength: 60 }), (keys) => {
        const [index, budget] = [new SharedIndex(8), budgetOf(MiB)];
        const blocks = viewOf(index);
        const held = new Map<string, { row: number; segment: Segment; words: readonly number[] }>();
        for (const words of keys) {
          const name = words.join("-");
          const known = held.get(name);
          if (known) {
            index.remove(known.row, known.segment);
            held.delete(name);
          } else {
            const segment = segmentOf(budget, name);
            const row = index.insert(keyOf(...words), segment);
            assert.equal(row === noRow, held.size === 8);
            if (row !== noRow) held.set(name, { row, segment, words });
          }
          for (let number = 0; number < 12; number += 1) {
            const row = blocks.pin(keyOf(number % 3, number));
            assert.equal(row, held.get(`${number % 3}-${number}`)?.row ?? noRow);
            if (row !== noRow) blocks.unpin(row);
          }
        }
      }),
      { numRuns: 200 },
    );
  });

  test("pin: of 200,000 reads by two threads beside evictions, none has a wrong byte", async () => {
    const { hits, misses, wrong, replaced, uses } = await readWhileEvicting(200_000, 2, 1);
    assert.equal(wrong, 0);
    assert.equal(hits + misses, 200_000);
    assert(
      hits > 10_000 && misses > 10_000 && replaced > 1000 && uses > 1000,
      `${hits} ${misses} ${replaced}`,
    );
  });
});

suite("block key", () => {
  const fields = { originId: "o", bucket: "b", objectKey: "k", etag: "e", chunkSizeBytes: 8 * MiB };

  test("blockKeyOf: a version and its size name a block", () => {
    const version = new ObjectVersion({ ...fields, sizeBytes: 5 });
    const key = blockKeyOf(version);
    assert.equal(Buffer.from(key.buffer, 0, 16).swap32().toString("hex"), version.hash.slice(0, 32));
    assert.notDeepEqual(key, blockKeyOf({ hash: version.hash, sizeBytes: 6 }));
    assert.notDeepEqual(key, blockKeyOf({ hash: version.hash, sizeBytes: 5 + 2 ** 32 }));
    assert.notDeepEqual(key, blockKeyOf(new ObjectVersion({ ...fields, etag: "f", sizeBytes: 5 })));
  });

  test("setBlock: the blocks of a version have consecutive numbers", () => {
    const key = blockKeyOf(new ObjectVersion({ ...fields, sizeBytes: 50 * MiB }));
    const numberOf = (index: number, offset: number): number => {
      setBlock(key, 8 * MiB, index, offset);
      return key[keyWords - 1] as number;
    };
    assert.deepEqual([numberOf(0, 0), numberOf(0, MiB - 1), numberOf(0, MiB)], [0, 0, 1]);
    assert.deepEqual([numberOf(0, 8 * MiB - 1), numberOf(1, 0), numberOf(6, 3 * MiB)], [7, 8, 51]);
  });
});
