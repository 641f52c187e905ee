/**
 * The bytes of one whole chunk in memory: full 1 MiB segments and one shorter one at the end. It holds one reference
 * to each segment; a reader takes its own reference to the one segment it is sending, so a chunk that is let go of
 * frees at once all but the few segments still on their way to a socket.
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

  /** The segment that holds the byte at `offset` of the chunk. The caller retains it before it awaits anything. */
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
