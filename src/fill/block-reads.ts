/**
 * Blocks that are read from disk for one reader each. A reader waits for a turn before it takes memory for its block, or
 * readers that wait for a slow disk would hold all memory, and nothing else could be filled or sent. Clients leave while
 * they wait; a turn that comes for such a reader passes on, and the disk is not asked.
 */
import type { Clock } from "../base/clock.ts";
import { type MemoryBudget, type Segment, segmentSizeBytes } from "../base/memory-budget.ts";
import { Semaphore } from "../base/semaphore.ts";
import type { ChunkKey, ChunkStore } from "../store/chunk-store.ts";
import type { Asker, Trace } from "../trace/trace.ts";
import { readDiskBlock } from "./block-presence.ts";
import { beginWait } from "./reader-waits.ts";

/**
 * Twice what the disk reads at once, and some, so that it never waits for the event loop. More would only wait in the
 * disk's queue, each with a segment of memory.
 */
const turnsMax = 8;

/** A further reader gets `overloaded` at once. */
const waitersMax = 10_000;

export interface BlockReadsOptions {
  readonly budget: MemoryBudget;
  readonly clock: Clock;
  /** How long a reader waits for its turn, and for memory. */
  readonly queueTimeoutMs: number;
  readonly trace?: Trace | undefined;
}

/** A reader of one block. */
export interface BlockReader {
  readonly isClosed: boolean;
  readonly asker: Asker | undefined;
}

export class BlockReads {
  readonly #options: BlockReadsOptions;
  readonly #turns: Semaphore;

  constructor(options: BlockReadsOptions) {
    this.#options = options;
    this.#turns = new Semaphore("reads of the disk", turnsMax, options.clock, waitersMax, "disk");
  }

  /**
   * The block, in a segment that the caller releases; undefined where the disk does not have it, or `reader` was closed
   * before it was read. The reader may close until the caller goes on, so the caller looks once more.
   * @throws OrcaError `overloaded` if there is no turn in time, or no memory.
   */
  async read(
    disk: ChunkStore,
    key: ChunkKey,
    blockIndex: number,
    reader: BlockReader,
  ): Promise<Segment | undefined> {
    const { trace, queueTimeoutMs } = this.#options;
    const waits = beginWait(reader.asker, trace, "disk");
    try {
      const turn = this.#turns.tryAcquire() ?? (await this.#turns.acquire(queueTimeoutMs));
      try {
        return reader.isClosed ? undefined : await this.#readInTurn(disk, key, blockIndex, reader);
      } finally {
        turn.release();
      }
    } finally {
      waits?.end();
    }
  }

  async #readInTurn(
    disk: ChunkStore,
    key: ChunkKey,
    blockIndex: number,
    reader: BlockReader,
  ): Promise<Segment | undefined> {
    const { budget, queueTimeoutMs, trace } = this.#options;
    const blockStart = blockIndex * segmentSizeBytes;
    const blockBytes = Math.min(segmentSizeBytes, key.version.chunkLength(key.index) - blockStart);
    beginWait(reader.asker, trace, "memory");
    const reservation = await budget.reserve(blockBytes, queueTimeoutMs);
    if (reader.isClosed) {
      reservation.release();
      return undefined;
    }
    const block = reservation.takeSegment(blockBytes);
    beginWait(reader.asker, trace, "disk");
    const waiting = trace?.waitingOf(reader.asker);
    const isRead = await readDiskBlock(disk, key, blockIndex, block.bytes, block, waiting);
    if (isRead) return block;
    block.release();
    return undefined;
  }
}
