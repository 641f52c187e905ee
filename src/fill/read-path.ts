/** What all readers of a replica use to find bytes. */
import type { MemoryBudget } from "../base/memory-budget.ts";
import type { ReaderMemory } from "../base/reader-memory.ts";
import type { ChunkStore } from "../store/chunk-store.ts";
import type { Trace } from "../trace/trace.ts";
import type { BlockReads } from "./block-reads.ts";
import type { ChunkFlights } from "./chunk-flights.ts";
import type { MemoryChunks } from "./memory-chunks.ts";
import type { ReadWindows } from "./read-windows.ts";

/** Where a reader's first byte came from. */
export type ReadSource = "memory" | "disk" | "cachestore" | "peer" | "origin" | "join";

export interface ReadPath {
  readonly memory: MemoryChunks & { wasSeen(memoryKey: string): boolean };
  readonly disk: ChunkStore | undefined;
  readonly flights: ChunkFlights;
  readonly budget: MemoryBudget;
  readonly readerMemory: ReaderMemory;
  readonly blockReads: BlockReads;
  /** How long a reader waits for memory. */
  readonly queueTimeoutMs: number;
  /** Chunks that are fetched ahead at most, once a reader goes from chunk to chunk. */
  readonly readAheadMax: number;
  /** Left out where readers say themselves how much more than their ranges is fetched. */
  readonly windows?: ReadWindows | undefined;
  /** Bytes returned to readers, by where they came from. */
  readonly sentBytes: Record<ReadSource, number>;
  readonly trace?: Trace | undefined;
}
