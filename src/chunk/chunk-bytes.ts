/**
 * The bytes of one whole chunk in memory: full segments of 1 MiB, and a shorter one at the end. It holds one reference to
 * each segment. A reader retains only the segment that it is sending, so an evicted chunk frees all segments at once but
 * the few on their way to a socket.
 */
import { assert } from "../base/assert.ts";
import { type Segment, segmentSizeBytes } from "../base/memory-budget.ts";

export class ChunkBytes {
  readonly lengthBytes: number;
  readonly #segments: readonly Segment[];
  #released = false;

  /** Takes over one reference to each of `segments`. */
  constructor(segments: readonly Segment[], lengthBytes: number) {
    this.#segments = segments;
    this.lengthBytes = lengthBytes;
    assert(segments.length === Math.ceil(lengthBytes / segmentSizeBytes), "a chunk is whole");
  }

  get segments(): readonly Segment[] {
    return this.#segments;
  }

  /** The segment with the byte at `offset` of the chunk. The caller retains it before it awaits anything. */
  segmentAt(offset: number): Segment {
    const segment = this.#segments[Math.floor(offset / segmentSizeBytes)];
    assert(segment !== undefined && !this.#released, "an offset lies inside a chunk that is held");
    return segment;
  }

  /** A second, independent hold on the same bytes. */
  share(): ChunkBytes {
    for (const segment of this.#segments) segment.retain();
    return new ChunkBytes(this.#segments, this.lengthBytes);
  }

  /** Exactly once per hold. */
  release(): void {
    assert(!this.#released, "a hold on a chunk is released once");
    this.#released = true;
    for (const segment of this.#segments) segment.release();
  }
}
