/**
 * What an entry of a large table costs besides the bytes that it stands for. The tables are bounded by these costs; a test
 * of each measures the real one.
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
