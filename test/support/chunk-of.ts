/** Chunks in memory, as a flight leaves them, filled with the pattern of a seed. */
import assert from "node:assert/strict";
import { type MemoryBudget, type Segment, segmentSizeBytes } from "../../src/base/memory-budget.ts";
import { ChunkBytes } from "../../src/chunk/chunk-bytes.ts";
import { fillPattern } from "./pattern.ts";

/** A chunk with one hold, which the caller releases. Fails where the budget has no room at once. */
export function chunkOf(budget: MemoryBudget, lengthBytes: number, seed = 1): ChunkBytes {
  const reservation = budget.tryReserve(lengthBytes);
  assert.ok(reservation, "the budget has room for the chunk");
  const segments: Segment[] = [];
  for (let offset = 0; offset < lengthBytes; offset += segmentSizeBytes) {
    const segment = reservation.takeSegment(Math.min(segmentSizeBytes, lengthBytes - offset));
    fillPattern(segment.bytes, seed, offset);
    segments.push(segment);
  }
  return new ChunkBytes(segments, lengthBytes);
}

/** As {@link chunkOf}, with these blocks only. */
export function partialChunkOf(
  budget: MemoryBudget,
  lengthBytes: number,
  blocks: readonly number[],
  seed = 1,
): ChunkBytes {
  const count = Math.ceil(lengthBytes / segmentSizeBytes);
  const segments = Array.from({ length: count }, (_, block) => {
    if (!blocks.includes(block)) return undefined;
    const bytes = Math.min(segmentSizeBytes, lengthBytes - block * segmentSizeBytes);
    const segment = budget.tryReserve(bytes)?.takeSegment(bytes);
    assert.ok(segment, "the budget has room for the block");
    fillPattern(segment.bytes, seed, block * segmentSizeBytes);
    return segment;
  });
  return new ChunkBytes(segments, lengthBytes);
}

/** The segment with the byte at `offset` of a chunk that holds it. */
export function segmentOf(chunk: ChunkBytes | undefined, offset = 0): Segment {
  const segment = chunk?.segmentAt(offset);
  assert.ok(segment, "the chunk holds the block");
  return segment;
}
