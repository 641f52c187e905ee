/**
 * What a chunk costs in a tier besides its bytes. The tiers are bounded by these costs as well; a test of each constant
 * measures the real cost. Also the shares of memory and heap that chunks and metadata may take.
 */

/**
 * A chunk on disk: 66 bytes in the chunk table, 9 in the queues of the eviction policy, and 4 for the memory of an evicted
 * chunk. They are outside the heap.
 */
export const diskChunkCostBytes = 80;

/** The part of `memory.max_bytes` that the index of a disk takes at most, unless `disk.max_chunks` says otherwise. */
const diskIndexShare = 0.25;

/**
 * The largest `disk.max_chunks`, and of its default. The rows of the chunk table are one piece of shared memory. The
 * system does not reserve any size of it: where memory is 256 GiB, a quarter was too much, and the start failed.
 */
export const diskChunksBound = 100_000_000;

/** The default of `disk.max_chunks`. */
export function diskChunksMax(memoryMaxBytes: number): number {
  const chunksInShare = Math.floor((memoryMaxBytes * diskIndexShare) / diskChunkCostBytes);
  return Math.min(chunksInShare, diskChunksBound);
}

/**
 * A chunk in memory: heap for its key, its entry, its segments and the version of its object. A chunk of 4 KiB costs as
 * much as a large one, so it is the heap that bounds how many small objects a replica can keep.
 */
export const memoryChunkCostBytes = 1100;

/** For each further block of the chunk, a place in its list of segments, also where the block is not held. */
const blockPlaceBytes = 8;

/** A chunk of so many blocks in memory, whole or partial. */
export function memoryChunkCost(blockCount: number): number {
  return memoryChunkCostBytes + (blockCount - 1) * blockPlaceBytes;
}

/** More for such a chunk, where other threads read it: the rows of its blocks in their index. */
export function publishedChunkCost(blockCount: number): number {
  return 80 + blockCount * blockPlaceBytes;
}

/** The part of the heap that chunks in memory may take. The rest is for requests, metadata and the garbage collector. */
const memoryHeapShare = 0.5;

/** The bound on the heap of chunks in memory. `heapLimitBytes`: V8's own. */
export function memoryHeapMax(heapLimitBytes: number): number {
  return heapLimitBytes * memoryHeapShare;
}

/**
 * The part of `memory.max_bytes` that metadata may take. It is so small that chunks keep their room, and large enough that
 * the default of `metadata.max_entries` fits into the smallest memory several times. With up to 512 MiB of memory, it is
 * within the allowance for heap (memory-budget.ts), so that metadata takes nothing from chunks.
 */
const metadataMemoryShare = 1 / 8;

/** What the metadata of an object with a key of about 50 characters and no user metadata takes of that. */
export const metadataEntryCostBytes = 1700;

/** The part of the heap that metadata may take. A quarter is left beside chunks and metadata. */
const metadataHeapShare = 0.25;

/** The bound on the metadata of all origins together. `heapLimitBytes`: V8's own. */
export function metadataBytesMax(memoryMaxBytes: number, heapLimitBytes = Infinity): number {
  return Math.floor(Math.min(memoryMaxBytes * metadataMemoryShare, heapLimitBytes * metadataHeapShare));
}
