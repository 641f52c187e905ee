/**
 * `/cache` of the ops listener: what this replica holds in each tier, and what the tiers have done since the start. It is
 * read from memory. The field names are a format: they stay, and new ones may come.
 *
 *     {
 *       "replica_id": "orca-0",
 *       "memory": { "chunks": 12, "bytes": 96468992, "used_bytes": 104857600, "max_bytes": 1073741824,
 *                   "hits": 5, "misses": 7, "evictions": 0 },       used_bytes: with fills and responses
 *       "disk": { "chunks": 12, "bytes": 96470000, "max_bytes": 10737418240, "pending_bytes": 0,
 *                 "blocks_read": 0, "bytes_read": 0, "stored": 12, "not_stored": 0, "evictions": 0,
 *                 "damaged": 0, "vanished": 0, "errors": { "EIO": 1 },
 *                 "buckets": [ { "origin": "weights", "bucket": "models", "priority": "normal",
 *                                "bytes": 0, "share_bytes": 4294967296 } ],    those with disk_share or priority
 *                 "scrub": { "state": "complete", "checked_chunks": 12, … } },        null without a disk tier
 *       "cachestore": { "driver": "s3", "breaker": "closed", "hints": 12, "hits": 0, "misses": 12, "bytes_read": 0,
 *                       "stored": 12, "not_stored": 0 },                                null without a cachestore
 *       "directories": [ { "origin": "weights", "objects": 3, "hits": 9, "misses": 3 } ]
 *     }
 */
import type { MemoryBudget } from "../../base/memory-budget.ts";
import type { Directory } from "../../object/directory.ts";
import type { Catalog } from "../../store/cachestore/catalog.ts";
import type { GuardedCachestore } from "../../store/cachestore/guarded-cachestore.ts";
import type { DiskTier } from "../../store/disk/disk-tier.ts";
import type { DiskShares } from "../../store/disk/shares/disk-shares.ts";
import type { MemoryTier } from "../../store/memory-tier.ts";
import type { Scrub, ScrubProgress } from "../../store/scrub/scrub.ts";

/** The parts of a replica that the stats read. */
export interface CacheStatsSource {
  readonly replicaId: string;
  readonly budget: Pick<MemoryBudget, "usedBytes" | "maxBytes">;
  readonly memory: Pick<MemoryTier, "stats">;
  readonly disk:
    | (Pick<DiskTier, "stats" | "usedBytes" | "maxBytes" | "chunkCount" | "blockCount" | "pendingBytes"> & {
        readonly shares: Pick<DiskShares, "figures"> | undefined;
      })
    | undefined;
  /** Undefined without a disk tier. */
  readonly scrub: Pick<Scrub, "progress"> | undefined;
  readonly cachestore:
    | {
        readonly store: Pick<GuardedCachestore, "kind" | "breakerState" | "stats">;
        readonly catalog: Pick<Catalog, "size">;
      }
    | undefined;
  /** The directories that answer clients, one for each origin. */
  readonly directories: readonly Pick<Directory, "originId" | "size" | "stats">[];
}

interface MemoryDocument {
  readonly chunks: number;
  readonly bytes: number;
  readonly used_bytes: number;
  readonly max_bytes: number;
  readonly hits: number;
  readonly misses: number;
  readonly evictions: number;
}

/** The scrub of the disk: the pass that runs or was interrupted, else the last one. */
export interface ScrubDocument {
  /** `idle`, `running`, `stopped`, `complete` or `failed`. */
  readonly state: ScrubProgress["state"];
  readonly checked_chunks: number;
  readonly checked_bytes: number;
  /** On disk now. */
  readonly total_bytes: number;
  /** Damaged, and deleted. */
  readonly bad_chunks: number;
  /** Not readable for a reason that is not the file's, such as no free file descriptor. */
  readonly skipped_chunks: number;
  /** The last file that was checked. */
  readonly cursor: string;
  /** Why the pass failed; empty if it did not. */
  readonly reason: string;
  /** ISO 8601, as is the next; null before the first pass has finished. */
  readonly last_finished: string | null;
  /** When the next pass is due; null while one runs, and without `disk.scrub_interval`. */
  readonly next: string | null;
}

interface DiskDocument {
  readonly chunks: number;
  /** Of chunks that are not whole. */
  readonly blocks: number;
  readonly bytes: number;
  readonly max_bytes: number;
  readonly pending_bytes: number;
  readonly blocks_read: number;
  readonly bytes_read: number;
  readonly stored: number;
  readonly not_stored: number;
  readonly evictions: number;
  readonly damaged: number;
  readonly vanished: number;
  readonly errors: Readonly<Record<string, number>>;
  readonly buckets: readonly BucketDocument[];
  readonly scrub: ScrubDocument | null;
}

/** A bucket that has `disk_share` or `priority`. */
interface BucketDocument {
  readonly origin: string;
  /** As the settings name it. */
  readonly bucket: string;
  readonly priority: string;
  readonly bytes: number;
  /** 0 for a priority alone. */
  readonly share_bytes: number;
}

interface CachestoreDocument {
  readonly driver: string;
  readonly breaker: string;
  readonly hints: number;
  readonly hits: number;
  readonly misses: number;
  readonly bytes_read: number;
  readonly stored: number;
  readonly not_stored: number;
}

/** The document above. */
export interface CacheDocument {
  readonly replica_id: string;
  readonly memory: MemoryDocument;
  readonly disk: DiskDocument | null;
  readonly cachestore: CachestoreDocument | null;
  readonly directories: readonly {
    readonly origin: string;
    readonly objects: number;
    readonly hits: number;
    readonly misses: number;
  }[];
}

export function cacheStats(source: CacheStatsSource): CacheDocument {
  const { replicaId, budget, memory, disk, scrub, cachestore, directories } = source;
  const { chunks, bytes, hits, misses, evictions } = memory.stats;
  return {
    replica_id: replicaId,
    memory: {
      chunks,
      bytes,
      used_bytes: budget.usedBytes,
      max_bytes: budget.maxBytes,
      hits,
      misses,
      evictions,
    },
    disk: disk ? diskStats(disk, scrub) : null,
    cachestore: cachestore ? cachestoreStats(cachestore) : null,
    directories: directories.map(({ originId, size, stats }) => ({
      origin: originId,
      objects: size,
      hits: stats.hits,
      misses: stats.misses,
    })),
  };
}

export function scrubDocument(progress: ScrubProgress): ScrubDocument {
  const { finished, dueMs } = progress;
  return {
    state: progress.state,
    checked_chunks: progress.checkedChunks,
    checked_bytes: progress.checkedBytes,
    total_bytes: progress.totalBytes,
    bad_chunks: progress.badChunks,
    skipped_chunks: progress.skippedChunks,
    cursor: progress.cursor,
    reason: progress.reason,
    last_finished: finished === undefined ? null : new Date(finished.finishedMs).toISOString(),
    next: dueMs === undefined ? null : new Date(dueMs).toISOString(),
  };
}

function diskStats(
  disk: NonNullable<CacheStatsSource["disk"]>,
  scrub: CacheStatsSource["scrub"],
): DiskDocument {
  const { stats } = disk;
  return {
    chunks: disk.chunkCount,
    blocks: disk.blockCount,
    bytes: disk.usedBytes,
    max_bytes: disk.maxBytes,
    pending_bytes: disk.pendingBytes,
    blocks_read: stats.blocksRead,
    bytes_read: stats.bytesRead,
    stored: stats.stored,
    not_stored: stats.notStored,
    evictions: stats.evictions,
    damaged: stats.damaged,
    vanished: stats.vanished,
    errors: { ...stats.errorsByCode },
    buckets: (disk.shares?.figures() ?? []).map(({ originId, bucket, priority, bytes, shareBytes }) => ({
      origin: originId,
      bucket,
      priority,
      bytes,
      share_bytes: shareBytes,
    })),
    scrub: scrub ? scrubDocument(scrub.progress) : null,
  };
}

function cachestoreStats({
  store,
  catalog,
}: NonNullable<CacheStatsSource["cachestore"]>): CachestoreDocument {
  const { hits, misses, bytesRead, stored, notStored } = store.stats;
  return {
    driver: store.kind,
    breaker: store.breakerState,
    hints: catalog.size,
    hits,
    misses,
    bytes_read: bytesRead,
    stored,
    not_stored: notStored,
  };
}
