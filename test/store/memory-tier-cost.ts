/** A process that prints the heap of a memory tier with as many chunks of 4 KiB as its argument says, each of its own object. */
import { MemoryBudget } from "../../src/base/memory-budget.ts";
import { GiB } from "../../src/base/units.ts";
import { ChunkBytes } from "../../src/chunk/chunk-bytes.ts";
import { ObjectVersion } from "../../src/chunk/object-version.ts";
import { MemoryTier } from "../../src/store/memory-tier.ts";
import { FakeClock } from "../support/fake-clock.ts";

const count = Number(process.argv[2]);
const lengthBytes = 4096;

function heapBytes(): number {
  globalThis.gc?.();
  return process.memoryUsage().heapUsed;
}

const budget = new MemoryBudget({ maxBytes: 4 * GiB, clock: new FakeClock() });
const tier = new MemoryTier({ budget });
const before = heapBytes();
for (let index = 0; index < count; index += 1) {
  const version = new ObjectVersion({
    originId: "origin-a",
    bucket: "bucket",
    // As long as keys often are.
    objectKey: `some/directory/of/small/objects/${index}.json`,
    etag: `d41d8cd98f00b204e9800998ecf${index}`,
    sizeBytes: lengthBytes,
    chunkSizeBytes: 8 << 20,
  });
  const reservation = budget.tryReserve(lengthBytes);
  if (reservation === undefined) throw new Error("no memory");
  const chunk = new ChunkBytes([reservation.takeSegment(lengthBytes)], lengthBytes);
  tier.put(version.memoryKey(0), chunk, false, version);
  chunk.release();
}
console.log(JSON.stringify({ chunks: tier.stats.chunks, heapBytes: heapBytes() - before }));
