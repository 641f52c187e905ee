/**
 * The bytes of objects, as the edge reads them. In the thread of the engine a reader looks into the tiers itself; in
 * another thread it finds blocks in shared memory and asks the engine for the rest. The edge knows neither.
 */
import type { ObjectVersion } from "../chunk/object-version.ts";
import type { Asker, Trace } from "../trace/trace.ts";
import { ObjectReader } from "./object-reader.ts";
import type { ReadPath, ReadSource } from "./read-path.ts";

/** A cursor over a range. @see ObjectReader */
export interface BodyReader {
  readonly version: ObjectVersion;
  /** Set with the first bytes returned. */
  readonly source: ReadSource | undefined;
  /** Bytes returned until now, and where they begin and end in the object. */
  readonly takenBytes: number;
  readonly range: readonly [start: number, end: number];
  readonly done: boolean;
  /** Whether bytes that are {@link ready} stay until they are taken. */
  readonly keepsReady?: boolean;
  /** The next bytes, pinned until {@link release}; null where they are not there yet. */
  take(): Buffer | null;
  release(): void;
  /** Resolves when {@link take} is worth another try. @throws OrcaError where the bytes cannot be fetched. */
  ready(): Promise<void>;
  close(): void;
}

export interface Bodies {
  readonly trace: Trace | undefined;
  /** A reader of `[start, end)` of `version`, which is not empty. */
  open(version: ObjectVersion, start: number, end: number, asker: Asker): BodyReader;
}

/** The bytes in the thread of the engine. */
export class EngineBodies implements Bodies {
  readonly #path: ReadPath;

  constructor(path: ReadPath) {
    this.#path = path;
  }

  get trace(): Trace | undefined {
    return this.#path.trace;
  }

  open(version: ObjectVersion, start: number, end: number, asker: Asker): BodyReader {
    return new ObjectReader(this.#path, version, start, end, asker);
  }

  /** What a reader of the byte at `offset` would name as its source, where that byte is on its way at this moment. */
  arriving(version: ObjectVersion, offset: number): ReadSource | undefined {
    if (offset >= version.sizeBytes) return undefined;
    const index = Math.floor(offset / version.chunkSizeBytes);
    const inChunk = offset - index * version.chunkSizeBytes;
    // A flight lives on while its blocks are committed: they are in memory then, where a reader looks first.
    if (this.#path.memory.peek(version.memoryKey(index))?.segmentAt(inChunk) !== undefined) return undefined;
    const flight = this.#path.flights.find({ version, index }, inChunk);
    if (flight === undefined) return undefined;
    return flight.isUnled ? flight.source : "join";
  }

  /** Counts bytes that were {@link arriving}, and in memory when they were taken, where a reader in this thread would. */
  countArrival(lengthBytes: number, source: ReadSource): void {
    this.#path.sentBytes.memory -= lengthBytes;
    this.#path.sentBytes[source] += lengthBytes;
  }
}
