/**
 * The bytes of one chunk in memory, in blocks: full segments of 1 MiB, and a shorter one at the end. A partial chunk
 * lacks some of them. It holds one reference to each segment. A reader retains only the segment that it is sending, so
 * an evicted chunk frees all segments at once but the few on their way to a socket.
 */
import { assert } from "../base/assert.ts";
import { type Segment, segmentSizeBytes } from "../base/memory-budget.ts";

/** What stores must know of where the bytes of a chunk came from. Of several blocks, what is true of any of them. */
export interface Provenance {
  /** They came from a peer that named no SHA-256 for them. They are served, and no store keeps them. */
  readonly isUnverified: boolean;
  /** They came from the origin, so that the cachestore may lack the chunk. */
  readonly isFromOrigin: boolean;
  /** SHA-256 of the whole chunk in hex, as the peer that sent the bytes says. */
  readonly sentSha256: string | undefined;
}

const unknownProvenance: Provenance = { isUnverified: false, isFromOrigin: false, sentSha256: undefined };

export class ChunkBytes {
  /** Of the chunk, the blocks that it lacks included. */
  readonly lengthBytes: number;
  readonly #segments: (Segment | undefined)[];
  /** The first of them: a hit of a small object reads no list. */
  #first: Segment | undefined;
  #provenance: Provenance;
  #missingBlocks = 0;
  #released = false;

  /** Takes over one reference to each of `segments`: one for each block of the chunk, undefined where it is not held. */
  constructor(
    segments: readonly (Segment | undefined)[],
    lengthBytes: number,
    provenance: Provenance = unknownProvenance,
  ) {
    this.#segments = [...segments];
    this.#first = segments[0];
    this.lengthBytes = lengthBytes;
    this.#provenance = provenance;
    assert(
      segments.length === Math.ceil(lengthBytes / segmentSizeBytes),
      "a chunk has a place for each block",
    );
    for (const segment of segments) if (segment === undefined) this.#missingBlocks += 1;
  }

  get isWhole(): boolean {
    return this.#missingBlocks === 0;
  }

  get provenance(): Provenance {
    return this.#provenance;
  }

  get blockCount(): number {
    return this.#segments.length;
  }

  get heldBlocks(): number {
    return this.#segments.length - this.#missingBlocks;
  }

  /** Bytes of the blocks that are held. */
  get heldBytes(): number {
    let bytes = 0;
    for (const segment of this.#segments) bytes += segment?.bytes.length ?? 0;
    return bytes;
  }

  /** All blocks of a whole chunk. */
  get segments(): readonly Segment[] {
    assert(this.isWhole, "only a whole chunk has all its segments");
    return this.#segments as readonly Segment[];
  }

  /** The blocks that are held. */
  *held(): Generator<Segment> {
    for (const segment of this.#segments) if (segment) yield segment;
  }

  block(index: number): Segment | undefined {
    return this.#segments[index];
  }

  /**
   * The segment with the byte at `offset` of the chunk; undefined where its block is not held. The caller retains it
   * before it awaits anything.
   */
  segmentAt(offset: number): Segment | undefined {
    if (offset < segmentSizeBytes && !this.#released) return this.#first;
    const index = Math.floor(offset / segmentSizeBytes);
    assert(index < this.#segments.length && !this.#released, "an offset lies inside a chunk that is held");
    return this.#segments[index];
  }

  /** Adds the blocks of `other` that this hold lacks. */
  add(other: ChunkBytes): void {
    assert(other.lengthBytes === this.lengthBytes && !this.#released, "blocks are added to their own chunk");
    const missingBefore = this.#missingBlocks;
    for (const [index, segment] of other.#segments.entries()) {
      if (!segment || this.#segments[index]) continue;
      this.#segments[index] = segment.retain();
      this.#missingBlocks -= 1;
    }
    if (this.#missingBlocks === missingBefore) return;
    this.#first = this.#segments[0];
    const [mine, theirs] = [this.#provenance, other.#provenance];
    this.#provenance = {
      isUnverified: mine.isUnverified || theirs.isUnverified,
      isFromOrigin: mine.isFromOrigin || theirs.isFromOrigin,
      sentSha256: mine.sentSha256 ?? theirs.sentSha256,
    };
  }

  /** A second, independent hold on the same bytes. */
  share(): ChunkBytes {
    for (const segment of this.#segments) segment?.retain();
    return new ChunkBytes(this.#segments, this.lengthBytes, this.#provenance);
  }

  /** Exactly once per hold. */
  release(): void {
    assert(!this.#released, "a hold on a chunk is released once");
    this.#released = true;
    for (const segment of this.#segments) segment?.release();
  }
}
