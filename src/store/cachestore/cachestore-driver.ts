/**
 * The medium that all replicas share, as guarded-cachestore.ts sees it: each question is one attempt, and trouble is an
 * error. That is the other way round from ChunkStore, and on purpose: a breaker must tell a store that does not hold a
 * chunk from one that does not answer, and it is written once, around this interface, for all drivers.
 *
 * What a driver throws says whose fault it is, by `code` alone:
 *
 *     store_unavailable   the store failed or did not answer in time: counts against it
 *     store_denied        the store refuses the credentials or the rights Orca has: counts, and is told in /readyz
 *     overloaded          there is no room for it, here or in a store that is full: says nothing about its answering
 *     the signal's reason the caller gave up: says nothing about the store
 *
 * A driver keeps a deadline of its own on every operation, and has nothing of the caller's in use once it has settled.
 */
import type { ByteSink } from "../../base/byte-sink.ts";
import type { ChunkBytes } from "../../chunk/chunk-bytes.ts";
import type { ChunkKey, PutResult } from "../chunk-store.ts";

export interface CachestoreDriver {
  /** For logs and metrics: the value of `cachestore.driver`. */
  readonly kind: "s3" | "posixfs";

  /**
   * Asks of the store all that Orca relies on, by writing, reading and deleting under a name of its own. Called once,
   * before anything else; may take as long as one operation of each kind.
   * @throws OrcaError `config_invalid`, with the reason: Orca refuses to start on a store that it cannot trust.
   */
  check(): Promise<void>;

  /**
   * Brings `lengthBytes` of a chunk from `offset` on into `sink`; `hit` when all have arrived. `miss`: the store does
   * not hold the chunk, or what it holds is damaged or of the wrong size, and is deleted where that is safe, and
   * counted. After a miss and after an error the sink holds a true prefix of the stretch, as checked as the medium
   * allows, and somebody else may go on from there. The sink is not touched once the promise has settled.
   * @throws OrcaError as above.
   */
  read(
    ref: ChunkKey,
    offset: number,
    lengthBytes: number,
    sink: ByteSink,
    signal: AbortSignal,
  ): Promise<"hit" | "miss">;

  /**
   * Keeps a whole chunk; readers see all of it or nothing. `present`: a chunk of the right length was there already.
   * The driver borrows `chunk` until the promise settles; where it must go on using it longer (a write cannot be called
   * back), it takes a hold of its own. @throws OrcaError as above.
   */
  put(ref: ChunkKey, chunk: ChunkBytes): Promise<Exclude<PutResult, "refused">>;

  /** Lets go of a chunk; nothing happens where it is not held. @throws OrcaError as above. */
  delete(ref: ChunkKey): Promise<void>;

  /** Lets go of puts that have not started, the newest first, until `bytesWanted` are free; they throw `overloaded`. */
  dropQueued(bytesWanted: number): void;

  /** Waits up to `deadlineMs` for puts that have been accepted, and lets go of files, sockets and threads. */
  close(deadlineMs: number): Promise<void>;
}
