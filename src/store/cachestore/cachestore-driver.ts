/**
 * The medium of the cachestore, as guarded-cachestore.ts uses it. Each call is one attempt, and a failure is an error.
 * ChunkStore differs on purpose: its failures are misses. The breaker must tell a store that does not hold a chunk from
 * a store that does not answer, and it is written once, around this interface, for all drivers.
 *
 * The `code` of an error says whose fault it is:
 *
 *     store_unavailable    the store failed or did not answer in time: counts against the store
 *     store_denied         the store denied Orca access: counts against the store, and is reported in /readyz
 *     overloaded           no room for the operation, in this replica or in a full store: does not count
 *     the signal's reason  the caller gave up: does not count
 *
 * A driver has a deadline of its own for every operation. When an operation has settled, it uses nothing of its caller.
 */
import type { ByteSink } from "../../base/byte-sink.ts";
import type { ChunkBytes } from "../../chunk/chunk-bytes.ts";
import type { ChunkKey, PutResult } from "../chunk-store.ts";

export interface CachestoreDriver {
  /** For logs and metrics: the value of `cachestore.driver`. */
  readonly kind: "s3" | "posixfs";

  /**
   * Tests everything that Orca requires of the store: it writes, reads and deletes under a name of its own. Called
   * once, before anything else; may take as long as one operation of each kind.
   * @throws OrcaError `config_invalid`, with the reason: Orca does not start with a store that it cannot trust.
   */
  check(): Promise<void>;

  /**
   * Reads `lengthBytes` of a chunk from `offset` into `sink`. `hit`: all bytes have arrived. `miss`: the store does not
   * hold the chunk, or holds a damaged one or one of the wrong size; the driver counts that, and deletes the chunk if
   * that is safe. After a miss or an error the sink holds a true prefix of the range, checked as well as the medium
   * allows, and another source may continue from there. The sink is not used after the promise has settled.
   * @throws OrcaError as above.
   */
  read(
    key: ChunkKey,
    offset: number,
    lengthBytes: number,
    sink: ByteSink,
    signal: AbortSignal,
  ): Promise<"hit" | "miss">;

  /**
   * Stores a whole chunk; readers see all of it or nothing. `present`: a chunk of the right length was there already.
   * `not_stored`: the store works, and can never hold this chunk; the driver counts and logs that.
   * The driver borrows `chunk` until the promise settles. If it must use the chunk longer, because a running write
   * cannot be stopped, it takes a hold of its own. @throws OrcaError as above.
   */
  put(key: ChunkKey, chunk: ChunkBytes): Promise<PutResult>;

  /** Deletes a chunk, if the store holds it. @throws OrcaError as above. */
  delete(key: ChunkKey): Promise<void>;

  /** Drops puts that have not started, the newest first, until `bytesWanted` are released. They throw `overloaded`. */
  dropQueued(bytesWanted: number): void;

  /** Waits up to `deadlineMs` for accepted puts, and releases files, sockets and threads. */
  close(deadlineMs: number): Promise<void>;
}
