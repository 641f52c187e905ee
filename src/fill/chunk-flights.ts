/**
 * What a reader asks when a block is in no tier: the flight that is fetching it, or a new one. A replica without peers
 * uses the Filler. In a cluster the Relay stands in front of it, and a reader does not know which of them it has.
 */
import type { ChunkKey } from "../store/chunk-store.ts";
import type { Asker } from "../trace/trace.ts";
import type { Flight } from "./flight.ts";

/** What a reader wants of a chunk. */
export interface WantedBytes {
  /** First byte wanted, from the start of the chunk. */
  readonly offset: number;
  /** End (exclusive) of what the reader will want of this chunk. */
  readonly end: number;
  /** The request that asks first. */
  readonly asker?: Asker | undefined;
}

export interface FillRequest extends WantedBytes {
  /** Its client has received no byte yet. */
  readonly isFirst?: boolean;
  /** For a client of this replica. Another replica has chosen how much it asks for at once. */
  readonly isOwn?: boolean;
  /** The chunk was asked for before, or the reader goes on: all that is wanted is fetched, even if nobody waits for it. */
  readonly seen: boolean;
  /**
   * The disk was asked and could not read the block. It may still believe that it holds it: a process without free file
   * descriptors learns nothing about the file. If the flight believed the disk again, it would end without bytes.
   */
  readonly skipDisk: boolean;
}

export interface ChunkFlights {
  readonly stats: { joins: number };

  /** Whether some block of the chunk is being fetched. */
  has(key: ChunkKey): boolean;

  /** The flight that is fetching the byte at `offset` of the chunk, if there is one to join. */
  find(key: ChunkKey, offset: number): Flight | undefined;

  /**
   * Starts a flight for the block of `request.offset` and those after it that are wanted and missing. There must be none
   * to join for that block.
   */
  fill(key: ChunkKey, request: FillRequest): Flight;

  /**
   * Reads blocks from disk into memory, because the chunk is asked for again and again. Undefined where memory has no
   * free room now: no reader waits for a promotion.
   */
  promote(key: ChunkKey, wanted: WantedBytes): Flight | undefined;

  /**
   * Starts a flight that no reader waits for yet, for the first blocks that are missing of those wanted, where memory has
   * free room for them now. Returns it, or the one that fetches the first byte already.
   */
  readAhead(key: ChunkKey, wanted: WantedBytes): Flight | undefined;
}
