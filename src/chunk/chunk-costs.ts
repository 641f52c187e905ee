/**
 * What a chunk costs in a tier besides its bytes. The tiers are bounded by these costs as well; a test of each constant
 * measures the real cost.
 */

/**
 * A chunk on disk: 66 bytes in the chunk table, 9 in the queues of the eviction policy, and 4 for the memory of an evicted
 * chunk. They are outside the heap.
 */
export const diskChunkCostBytes = 80;

/** The part of `memory.max_bytes` that the index of a disk takes at most, unless `disk.max_chunks` says otherwise. */
const diskIndexShare = 0.25;

/** The default of `disk.max_chunks`. */
export function diskChunksMax(memoryMaxBytes: number): number {
  return Math.floor((memoryMaxBytes * diskIndexShare) / diskChunkCostBytes);
}

/**
 * A chunk in memory: heap for its key, its entry, its segments and the version of its object. A chunk of 4 KiB costs as
 * much as a large one, so it is the heap that bounds how many small objects a replica can keep.
 */
export const memoryChunkCostBytes = 1100;

/** The part of the heap that chunks in memory may take. The rest is for requests, metadata and the garbage collector. */
const memoryHeapShare = 0.5;

/** The bound on the heap of chunks in memory. `heapLimitBytes`: V8's own. */
export function memoryHeapMax(heapLimitBytes: number): number {
  return heapLimitBytes * memoryHeapShare;
}
