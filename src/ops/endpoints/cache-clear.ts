/**
 * Lets go of what is cached of some objects, or of all: of this replica alone, and of the store that all share only where
 * that is asked for. What is being filled at that moment comes back with its commit.
 *
 * The order matters: (1) the directory, so that who comes next asks the origin anew; (2) the disk; (3) memory, last,
 * because a chunk that is asked for often is brought from disk into memory, and never the other way round without a fill.
 *
 * From the cachestore go the chunks of those versions that this replica's directories tell of. Names there are hashes, so
 * nobody can look for a prefix, and what nobody here has heard of stays.
 */

import { OrcaError } from "../../base/orca-error.ts";
import type { ObjectPrefix } from "../../chunk/object-prefix.ts";
import type { Directory } from "../../object/directory.ts";
import type { ChunkStore } from "../../store/chunk-store.ts";
import type { MemoryTier } from "../../store/memory-tier.ts";
import { type Cleared, type ClearedDisk, clearDisk } from "../../store/scrub/disk-clear.ts";

export interface CacheClearParts {
  /** All of them: those in front of clients and those that answer other replicas. One may be there twice. */
  readonly directories: readonly Pick<Directory, "versions" | "clear">[];
  readonly memory: Pick<MemoryTier, "clear">;
  readonly disk: ClearedDisk | undefined;
  readonly cachestore: Pick<ChunkStore, "delete"> | undefined;
}

/** What was let go of; null for a tier that there is not, or that was not asked for. */
export interface ClearedCache {
  readonly objects: number;
  readonly memory: Cleared;
  readonly disk: Cleared | null;
  /** `chunks` were asked to be deleted, whether or not they were there. */
  readonly cachestore: { readonly chunks: number } | null;
}

export class CacheClear {
  readonly stats = { clears: 0 };
  readonly #parts: CacheClearParts;
  #running = false;

  constructor(parts: CacheClearParts) {
    this.#parts = parts;
  }

  /**
   * What is cleared before the signal aborts stays so.
   * @throws OrcaError `overloaded` while another one runs; `internal` where the disk cannot be read; the signal's reason.
   */
  async clear(
    prefix: ObjectPrefix | undefined,
    alsoCachestore: boolean,
    signal: AbortSignal,
  ): Promise<ClearedCache> {
    if (this.#running) throw new OrcaError("overloaded", "client", "Cannot clear: another clear is running");
    this.#running = true;
    this.stats.clears += 1;
    try {
      return await this.#clear(prefix, alsoCachestore, signal);
    } finally {
      this.#running = false;
    }
  }

  async #clear(
    prefix: ObjectPrefix | undefined,
    alsoCachestore: boolean,
    signal: AbortSignal,
  ): Promise<ClearedCache> {
    const { memory, disk, cachestore } = this.#parts;
    const directories = [...new Set(this.#parts.directories)];
    const versions = new Map(
      directories.flatMap((each) => each.versions(prefix)).map((version) => [version.hash, version]),
    );
    const objects = Math.max(0, ...directories.map((each) => each.clear(prefix)));
    const fromDisk = disk ? await clearDisk(disk, prefix, signal) : null;
    const fromMemory = memory.clear(prefix);
    let chunks = 0;
    if (alsoCachestore && cachestore) {
      for (const version of versions.values()) {
        for (let index = 0; index < version.chunkCount; index += 1) {
          signal.throwIfAborted();
          await cachestore.delete({ version, index });
          chunks += 1;
        }
      }
    }
    return {
      objects,
      memory: fromMemory,
      disk: fromDisk,
      cachestore: alsoCachestore && cachestore ? { chunks } : null,
    };
  }
}
