/**
 * What an entry of a large table costs besides the bytes that it stands for. The tables are bounded by these costs; a test
 * of each measures the real one.
 */

import { MiB } from "./units.ts";

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

/** This much heap of entries is part of the 256 MiB that the process needs beside `memory.max_bytes`. */
export const heapAllowanceBytes = 64 * MiB;

/** The part of the heap that chunks in memory may take. The rest is for requests, metadata and the garbage collector. */
const memoryHeapShare = 0.5;

/** The bound on the heap of chunks in memory. `heapLimitBytes`: V8's own. */
export function memoryHeapMax(heapLimitBytes: number): number {
  return heapLimitBytes * memoryHeapShare;
}
