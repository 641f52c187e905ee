/**
 * What a reader asks when a chunk is in no tier: the flight that is fetching it, or a new one. A replica without peers
 * uses the Filler. In a cluster the Relay stands in front of it, and a reader does not know which of them it has.
 */
import type { ChunkKey } from "../store/chunk-store.ts";
import type { Asker } from "../trace/trace.ts";
import type { Flight } from "./flight.ts";

/** What a reader wants of a chunk. */
export interface FillRequest {
  /** First byte wanted, from the start of the chunk. */
  readonly offset: number;
  /** End (exclusive) of what the reader will want of this chunk. */
  readonly end: number;
  /** The chunk was asked for before. */
  readonly seen: boolean;
  /**
   * The disk was asked and could not read the chunk. It may still believe that it holds the chunk: a process without
   * free file descriptors learns nothing about the file. If the flight believed the disk again, it would end without
   * bytes.
   */
  readonly skipDisk: boolean;
  /** The request that asks first. */
  readonly asker?: Asker | undefined;
}

export interface ChunkFlights {
  readonly stats: { joins: number };

  /** The flight that is fetching this chunk, if there is one to join. */
  find(key: ChunkKey): Flight | undefined;

  /** Starts a flight whose first byte wanted is at `request.offset`. There must be none to join. */
  fill(key: ChunkKey, request: FillRequest): Flight;

  /**
   * Reads a chunk from disk into memory, because it is asked for again and again. Undefined where memory has no free
   * room now: no reader waits for a promotion.
   */
  promote(key: ChunkKey, offset: number, asker?: Asker): Flight | undefined;

  /** Starts a flight that no reader waits for yet, where memory has free room for it now. */
  readAhead(key: ChunkKey, asker?: Asker): void;
}
