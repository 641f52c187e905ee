/**
 * A process that prints the heap of a memory tier with as many chunks as its first argument says, each of its own object.
 * They have as many blocks as the second one says, and are the last ones of as many chunks as the third one says. Only the
 * last block is held, and it has 4 KiB. Each has been read once. With a fourth argument, they are in the index of other
 * threads, too.
 */
import { MemoryBudget, type Segment } from "../../src/base/memory-budget.ts";
import { GiB, MiB } from "../../src/base/units.ts";
import { ChunkBytes } from "../../src/chunk/chunk-bytes.ts";
import { ObjectVersion } from "../../src/chunk/object-version.ts";
import { MemoryTier } from "../../src/store/memory-tier.ts";
import { PublishedChunks } from "../../src/store/shared-index/published-chunks.ts";
import { SharedIndex } from "../../src/store/shared-index/shared-index.ts";
import { FakeClock } from "../support/fake-clock.ts";

const count = Number(process.argv[2]);
const blockCount = Number(process.argv[3]);
const chunksOfObject = Number(process.argv[4]);
const blockBytes = 4096;
const lengthBytes = (blockCount - 1) * MiB + blockBytes;
const chunkSizeBytes = chunksOfObject > 1 ? lengthBytes : Math.max(8, blockCount) * MiB;
const lastIndex = chunksOfObject - 1;

function heapBytes(): number {
  globalThis.gc?.();
  return process.memoryUsage().heapUsed;
}

const budget = new MemoryBudget({ maxBytes: 4 * GiB, clock: new FakeClock() });
const isPublished = process.argv[5] !== undefined;
const published = isPublished ? new PublishedChunks(new SharedIndex(count)) : undefined;
const tier = new MemoryTier({ budget, published });
const before = heapBytes();
for (let index = 0; index < count; index += 1) {
  const version = new ObjectVersion({
    originId: "origin-a",
    bucket: "bucket",
    // As long as keys often are.
    objectKey: `some/directory/of/small/objects/${index}.json`,
    etag: `d41d8cd98f00b204e9800998ecf${index}`,
    sizeBytes: lastIndex * chunkSizeBytes + lengthBytes,
    chunkSizeBytes,
  });
  const reservation = budget.tryReserve(blockBytes);
  if (reservation === undefined) throw new Error("no memory");
  const segments = new Array<Segment | undefined>(blockCount).fill(undefined);
  segments[blockCount - 1] = reservation.takeSegment(blockBytes);
  const chunk = new ChunkBytes(segments, lengthBytes);
  tier.put(version.memoryKey(lastIndex), chunk, false, version);
  chunk.release();
  tier.getOf(version, lastIndex, lengthBytes - 1);
}
console.log(JSON.stringify({ chunks: tier.stats.chunks, heapBytes: heapBytes() - before }));
