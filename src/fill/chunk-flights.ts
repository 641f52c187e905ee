/**
 * What a reader asks for when a chunk is in no tier: a flight that is bringing it, or a new one. A replica by itself
 * answers with the Filler; in a cluster the Relay stands in front of it, and a reader does not know which it has.
 */
import { segmentSizeBytes } from "../base/memory-budget.ts";
import type { ChunkKey } from "../store/chunk-store.ts";
import type { Flight } from "./flight.ts";

/** What a reader wants of a chunk. */
export interface FillRequest {
  /** First byte wanted, from the start of the chunk. */
  readonly offset: number;
  /** End (exclusive) of what it will want of this chunk. */
  readonly end: number;
  /** The chunk was asked for before. */
  readonly seen: boolean;
  /**
   * The disk was asked and could not read the chunk. It may go on believing that it holds it (a process that has run out
   * of file descriptors says nothing about the file), and a flight that believed it too would leave its readers where
   * they were.
   */
  readonly pastDisk: boolean;
}

export interface ChunkFlights {
  readonly stats: { joins: number };

  /** The flight that is bringing this chunk, if there is one to join. */
  find(ref: ChunkKey): Flight | undefined;

  /** Starts a flight whose first byte wanted is at `request.offset`. There is none to join. */
  fill(ref: ChunkKey, request: FillRequest): Flight;

  /**
   * Brings a chunk into memory from disk, because it is asked for again and again. Undefined where memory has no room
   * at once: nobody is made to wait for a promotion.
   */
  promote(ref: ChunkKey, offset: number): Flight | undefined;

  /** Starts a flight that nobody waits for yet, where there is room for it at once. */
  readAhead(ref: ChunkKey): void;
}

/**
 * Where a flight begins for a reader at `offset`. When that lies further into the chunk than one segment, the GET starts
 * there and a second one brings the part before it: nobody waits for bytes that nobody asked for.
 */
export function partStart(offset: number): number {
  return offset > segmentSizeBytes ? offset : 0;
}
