/**
 * A stretch of a chunk on its way from a peer to this replica's disk: room for all of it before it is asked for. A sink is
 * told of bytes and cannot hold anybody back, so back-pressure is in the asking: the next stretch is asked for when
 * this one is written. That costs a round trip per stretch, and a pull holds no more memory than one.
 */
import type { ByteSink } from "../../base/byte-sink.ts";
import { type Reservation, type Segment, segmentSizeBytes } from "../../base/memory-budget.ts";

export class PullStretch implements ByteSink {
  readonly lengthBytes: number;
  filledBytes = 0;
  readonly #reservation: Reservation;
  readonly #segments: Segment[] = [];

  constructor(reservation: Reservation) {
    this.#reservation = reservation;
    this.lengthBytes = reservation.bytes;
  }

  space(): Buffer {
    const index = Math.floor(this.filledBytes / segmentSizeBytes);
    const start = index * segmentSizeBytes;
    this.#segments[index] ??= this.#reservation.takeSegment(
      Math.min(segmentSizeBytes, this.lengthBytes - start),
    );
    return this.#segments[index].bytes.subarray(this.filledBytes - start);
  }

  advance(lengthBytes: number): void {
    this.filledBytes += lengthBytes;
  }

  /** What has come, segment by segment. */
  *slices(): Generator<Buffer> {
    for (const [index, segment] of this.#segments.entries()) {
      const slice = segment.bytes.subarray(0, this.filledBytes - index * segmentSizeBytes);
      if (slice.length > 0) yield slice;
    }
  }

  release(): void {
    for (const segment of this.#segments) segment.release();
    this.#segments.length = 0;
    this.#reservation.release();
  }
}
