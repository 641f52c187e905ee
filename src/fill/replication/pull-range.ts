/**
 * A range of a chunk on its way from a peer to this replica's disk. Memory for all of it is reserved before it is asked
 * for. The sender cannot be slowed down, so the puller limits how much it requests: it asks for the next range when
 * this one is written. That costs a round trip per range, and a pull holds memory for one range only.
 */
import type { PlacedSink } from "../../base/byte-sink.ts";
import { type Reservation, type Segment, segmentSizeBytes } from "../../base/memory-budget.ts";

export class PullRange implements PlacedSink {
  readonly lengthBytes: number;
  filledBytes = 0;
  readonly #reservation: Reservation;
  readonly #segments: Segment[] = [];

  constructor(reservation: Reservation) {
    this.#reservation = reservation;
    this.lengthBytes = reservation.bytes;
  }

  space(): Buffer {
    return this.spaceAhead(0);
  }

  spaceAhead(aheadBytes: number): Buffer {
    const offset = this.filledBytes + aheadBytes;
    const index = Math.floor(offset / segmentSizeBytes);
    const start = index * segmentSizeBytes;
    this.#segments[index] ??= this.#reservation.takeSegment(
      Math.min(segmentSizeBytes, this.lengthBytes - start),
    );
    return this.#segments[index].bytes.subarray(offset - start);
  }

  advance(lengthBytes: number): void {
    this.filledBytes += lengthBytes;
  }

  /** The bytes that have come, segment by segment. */
  *slices(): Generator<{ readonly bytes: Buffer; readonly segment: Segment }> {
    for (const [index, segment] of this.#segments.entries()) {
      const bytes = segment.bytes.subarray(0, this.filledBytes - index * segmentSizeBytes);
      if (bytes.length > 0) yield { bytes, segment };
    }
  }

  release(): void {
    for (const segment of this.#segments) segment.release();
    this.#segments.length = 0;
    this.#reservation.release();
  }
}
