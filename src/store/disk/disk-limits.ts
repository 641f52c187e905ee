/** The bounds of a disk, in bytes and in chunks, and the watermarks at which evictions begin and end. */

export interface DiskLimitsOptions {
  readonly maxBytes: number;
  readonly maxChunks: number;
  /** Parts of the two. A reservation that would exceed the high one begins to evict down to the low one. */
  readonly highWatermark: number;
  readonly lowWatermark: number;
}

/**
 * Entries that are evicted in one turn of the event loop, about a millisecond. A disk may hold millions, and the distance
 * between the watermarks is a part of that.
 */
export const sliceMax = 512;

export class DiskLimits {
  readonly maxBytes: number;
  readonly maxChunks: number;
  readonly lowWatermark: number;
  readonly highBytes: number;
  readonly lowBytes: number;
  readonly highChunks: number;
  readonly lowChunks: number;

  constructor({ maxBytes, maxChunks, highWatermark, lowWatermark }: DiskLimitsOptions) {
    this.maxBytes = maxBytes;
    this.maxChunks = maxChunks;
    this.lowWatermark = lowWatermark;
    this.highBytes = Math.floor(maxBytes * highWatermark);
    this.lowBytes = Math.floor(maxBytes * lowWatermark);
    this.highChunks = Math.ceil(maxChunks * highWatermark);
    this.lowChunks = Math.floor(maxChunks * lowWatermark);
  }
}
