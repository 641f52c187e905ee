/**
 * Deletes the cached chunks and the metadata of some objects, or of all, from this replica. It deletes from the cachestore
 * only on request. What was read before the clear does not survive it; what is read during the clear may.
 *
 * The order matters: (1) the directory and what is known of parts, so that the next request asks the origin; (2)
 * flights: those that still fill are not kept, and those whose chunk is being committed end first; (3) the disk; (4)
 * memory, last, because a chunk that is read often moves from disk to memory, and never from memory to disk without a
 * fill.
 *
 * Two interleavings would leave a chunk behind. First: (a) a flight commits a chunk; (b) the disk is cleared, and does not
 * list the chunk yet; (c) the commit ends. So step 2 waits for it. Second: (a) after step 2 a reader starts a flight that
 * copies a chunk from disk to memory; (b) disk and memory are cleared; (c) the flight ends, and the chunk is in memory. So
 * step 2 is repeated in the same turn of the event loop in which memory is cleared.
 *
 * From the cachestore it deletes the chunks of the versions that this replica's directories know. Chunk paths are hashes,
 * so it cannot search for a prefix there, and chunks of other versions stay.
 */
import { OrcaError } from "../../base/orca-error.ts";
import type { ObjectPrefix } from "../../chunk/object-prefix.ts";
import type { Filler } from "../../fill/filler.ts";
import type { Directory } from "../../object/directory.ts";
import type { PurgeAnswers, PurgedReplica, PurgeScope } from "../../object/freshness/purge-peers.ts";
import type { ListingCache } from "../../object/listing-cache.ts";
import type { PartTables } from "../../object/parts/part-tables.ts";
import type { GuardedCachestore } from "../../store/cachestore/guarded-cachestore.ts";
import type { DiskTier } from "../../store/disk/disk-tier.ts";
import type { MemoryTier } from "../../store/memory-tier.ts";
import { type Cleared, type ClearedDisk, clearDisk, visitDisk } from "../../store/scrub/disk-clear.ts";

export interface CacheClearParts {
  /** All of them: those that answer clients and those that answer peers. May hold one twice. */
  readonly directories: readonly Pick<Directory, "versions" | "clear">[];
  /** As {@link directories}. */
  readonly parts: readonly Pick<PartTables, "clear">[];
  /** As {@link directories}. */
  readonly listings?: readonly { readonly originId: string; readonly cache: Pick<ListingCache, "clear"> }[];
  readonly flights: Pick<Filler, "forget">;
  readonly memory: Pick<MemoryTier, "clear" | "objectKeys">;
  readonly disk: (ClearedDisk & Partial<Pick<DiskTier, "pins">>) | undefined;
  readonly cachestore: Pick<GuardedCachestore, "tryDelete"> | undefined;
}

/** What was deleted; null for a tier that is not configured or was not requested. */
export interface ClearedCache {
  readonly objects: number;
  readonly memory: Cleared;
  readonly disk: Cleared | null;
  /**
   * `objects`: those whose chunks were looked up there. `chunks` counts delete requests; the store need not have held the
   * chunk. `failed`: those of them that the store did not answer, or that its open breaker turned away.
   */
  readonly cachestore: { readonly objects: number; readonly chunks: number; readonly failed: number } | null;
}

export class CacheClear implements PurgeAnswers {
  readonly stats = { clears: 0 };
  readonly #parts: CacheClearParts;
  #running = false;

  constructor(parts: CacheClearParts) {
    this.#parts = parts;
  }

  /**
   * What was deleted before the signal aborts stays deleted.
   * @throws OrcaError `overloaded` while another clear runs; `internal` if the disk cannot be read; the signal's reason.
   */
  async clear(
    prefix: ObjectPrefix | undefined,
    alsoCachestore: boolean,
    signal: AbortSignal,
  ): Promise<ClearedCache> {
    if (this.#running)
      throw new OrcaError("overloaded", "client", "Cannot clear the cache: another clear is running");
    this.#running = true;
    this.stats.clears += 1;
    try {
      return await this.#clear(prefix, alsoCachestore, signal);
    } finally {
      this.#running = false;
    }
  }

  /** For a purge of the whole cluster. `metadata`: may run any number of times at once, and beside a clear. */
  async purge(prefix: ObjectPrefix, scope: PurgeScope, signal: AbortSignal): Promise<PurgedReplica> {
    if (scope.what === "all") return this.clear(prefix, scope.cachestore, signal);
    const { disk } = this.#parts;
    const none = { chunks: 0, bytes: 0 };
    if (scope.what === "pins")
      return { objects: 0, memory: none, disk: disk?.pins?.release(prefix) ?? null, cachestore: null };
    return { objects: this.#forget(prefix), memory: none, disk: disk ? none : null, cachestore: null };
  }

  /** Metadata: the next request asks the origin. Returns of how many objects. */
  #forget(prefix: ObjectPrefix | undefined): number {
    const { directories, parts, listings = [] } = this.#parts;
    const objects = Math.max(0, ...[...new Set(directories)].map((each) => each.clear(prefix)));
    for (const each of parts) each.clear(prefix);
    for (const { originId, cache } of listings)
      if (prefix === undefined || prefix.originId === originId) cache.clear(prefix);
    return objects;
  }

  async #clear(
    prefix: ObjectPrefix | undefined,
    alsoCachestore: boolean,
    signal: AbortSignal,
  ): Promise<ClearedCache> {
    const { flights, memory, disk, cachestore } = this.#parts;
    const directories = [...new Set(this.#parts.directories)];
    await this.#rejectAmbiguous(prefix, signal);
    const versions = new Map(
      directories.flatMap((each) => each.versions(prefix)).map((version) => [version.hash, version]),
    );
    const objects = this.#forget(prefix);
    await Promise.race([flights.forget(prefix), aborted(signal)]);
    const fromDisk = disk ? await clearDisk(disk, prefix, signal) : null;
    void flights.forget(prefix);
    const fromMemory = memory.clear(prefix);
    let [chunks, failed] = [0, 0];
    if (alsoCachestore && cachestore) {
      for (const version of versions.values()) {
        for (let index = 0; index < version.chunkCount; index += 1) {
          signal.throwIfAborted();
          if (!(await cachestore.tryDelete({ version, index }))) failed += 1;
          chunks += 1;
        }
      }
    }
    return {
      objects,
      memory: fromMemory,
      disk: fromDisk,
      cachestore: alsoCachestore && cachestore ? { objects: versions.size, chunks, failed } : null,
    };
  }

  /**
   * A prefix that is the whole key of an object may also begin the keys of others, such as `key.bak`. A person who
   * types the key wants the one object. So nothing is deleted before the request says which it is.
   * @throws OrcaError `invalid_argument`.
   */
  async #rejectAmbiguous(prefix: ObjectPrefix | undefined, signal: AbortSignal): Promise<void> {
    if (!prefix || prefix.match || prefix.keyPrefix === "" || prefix.keyPrefix.endsWith("/")) return;
    const { directories, memory, disk } = this.#parts;
    let isKey = false;
    let longer: string | undefined;
    const goesOn = (objectKey: string): boolean => {
      if (objectKey === prefix.keyPrefix) isKey = true;
      else longer ??= objectKey.slice(prefix.keyPrefix.length);
      return !isKey || longer === undefined;
    };
    for (const { objectKey } of directories.flatMap((each) => each.versions(prefix))) goesOn(objectKey);
    for (const objectKey of memory.objectKeys(prefix)) goesOn(objectKey);
    if (disk && !disk.isSetAside && (!isKey || longer === undefined))
      await visitDisk(disk, prefix, signal, goesOn);
    if (!isKey || longer === undefined) return;
    const reason = `the prefix is the key of an object, and another key goes on with "${longer}"`;
    const remedy =
      "Say --match key (match=key) for that object alone, or --match prefix (match=prefix) for all";
    throw new OrcaError("invalid_argument", "client", `Cannot clear the cache: ${reason}. ${remedy}`);
  }
}

/** Rejects with the signal's reason when it aborts. */
function aborted(signal: AbortSignal): Promise<never> {
  const { promise, reject } = Promise.withResolvers<never>();
  if (signal.aborted) reject(signal.reason);
  else signal.addEventListener("abort", () => reject(signal.reason), { once: true });
  promise.catch(() => undefined);
  return promise;
}
