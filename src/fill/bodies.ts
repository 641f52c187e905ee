/**
 * The bytes of objects, as the edge reads them. In the thread of the engine a reader looks into the tiers itself; in
 * another thread it finds blocks in shared memory and asks the engine for the rest. The edge knows neither.
 */
import type { ObjectVersion } from "../chunk/object-version.ts";
import { type Asker, chunkFields, type Trace } from "../trace/trace.ts";
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
  /** Whether {@link tracePlan} was called for it: the engine has begun it. */
  readonly isPlanned?: boolean;
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
  /** Ends the read that the look-up of `asker` has begun, unless {@link open} has taken it over. */
  dropBegun?(asker: Asker): void;
}

/** The step of a request that comes before those of its read. */
export function tracePlan(
  trace: Trace,
  requestId: string,
  version: ObjectVersion,
  start: number,
  end: number,
): void {
  const { chunkSizeBytes } = version;
  const index = Math.floor(start / chunkSizeBytes);
  const lastIndex = Math.floor((end - 1) / chunkSizeBytes);
  const fields = { ...chunkFields({ version, index }), start, end, lastIndex, chunkSizeBytes };
  trace.step("plan", requestId, fields);
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

  /** Whether the byte at `offset` is in memory, where threads find it by themselves. */
  holds(version: ObjectVersion, offset: number): boolean {
    const index = Math.floor(offset / version.chunkSizeBytes);
    const inChunk = offset - index * version.chunkSizeBytes;
    return this.#path.memory.peek(version.memoryKey(index))?.segmentAt(inChunk) !== undefined;
  }
}
