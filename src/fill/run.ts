/** Runs of blocks: what one flight fetches of a chunk. */
import { segmentSizeBytes } from "../base/memory-budget.ts";

/** The bytes [from, to) of a chunk. Both are the ends of blocks. */
export interface Run {
  readonly from: number;
  readonly to: number;
}

/** Where the block with the byte at `offset` begins. */
export function blockStartOf(offset: number): number {
  return offset - (offset % segmentSizeBytes);
}

/** Where the block with the byte at `offset` ends, if it is a full one. */
export function blockEndOf(offset: number): number {
  return blockStartOf(offset) + segmentSizeBytes;
}
