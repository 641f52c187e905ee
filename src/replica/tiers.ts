/**
 * The stores in which a replica keeps chunks: memory, its own disk, and the cachestore that all replicas share. One budget
 * bounds all chunk bytes in memory, whichever store they are on the way to.
 */
import { randomBytes } from "node:crypto";
import { getHeapStatistics } from "node:v8";
import type { Clock } from "../base/clock.ts";
import type { Logger } from "../base/logger.ts";
import { MemoryBudget, segmentSizeBytes } from "../base/memory-budget.ts";
import { pieceSizeFor } from "../base/segment-pool.ts";
import {
  diskChunksMax,
  memoryChunkCostBytes,
  memoryHeapMax,
  metadataBytesMax,
} from "../chunk/chunk-costs.ts";
import type { Config } from "../config/config.ts";
import { diskSharesOf } from "../config/disk-shares.ts";
import { Revocations, revocationMemory } from "../object/freshness/revocations.ts";
import { HeapShare } from "../object/heap-share.ts";
import type { Readiness, ReadinessCheck } from "../ops/readiness.ts";
import { DiskTier } from "../store/disk/disk-tier.ts";
import type { NewPolicy } from "../store/eviction/eviction-policy.ts";
import { TunedS3Fifo } from "../store/eviction/tuned-s3-fifo.ts";
import { MemoryTier } from "../store/memory-tier.ts";
import { PublishedChunks } from "../store/shared-index/published-chunks.ts";
import { SharedIndex } from "../store/shared-index/shared-index.ts";
import { cachestoreNotice, type OpenCachestore, openCachestore } from "./cachestore.ts";
import { type ReleaseStack, step } from "./release-stack.ts";

export interface TiersOptions {
  readonly config: Config;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** By which other threads know what memory and directories hold. */
export interface SharedMemory {
  readonly index: SharedIndex;
  readonly revocations: Revocations;
}

export interface Tiers {
  readonly budget: MemoryBudget;
  /** Bounds the metadata of all origins. */
  readonly metadataHeap: HeapShare;
  readonly memory: MemoryTier;
  /** Undefined where no other thread serves clients. */
  readonly shared: SharedMemory | undefined;
  readonly disk: DiskTier | undefined;
  readonly cachestore: OpenCachestore | undefined;
  /** The disk's, which outlives the process; else the configured one; else one for this run. */
  readonly replicaId: string;
}

const policy: NewPolicy = (entries, rowsMax, beside) =>
  new TunedS3Fifo(entries, rowsMax, beside instanceof TunedS3Fifo ? beside : undefined);

/** @throws OrcaError config_invalid where another process holds the disk root, or it cannot be used. */
export function openTiers({ config, clock, logger }: TiersOptions, held: ReleaseStack): Tiers {
  const { disk: place, cluster } = config;
  const budget = new MemoryBudget({ maxBytes: config.memory.maxBytes, clock });
  const heapLimitBytes = getHeapStatistics().heap_size_limit;
  const heapBytesMax = memoryHeapMax(heapLimitBytes);
  const shared = config.server.threads > 1 ? sharedMemory(config, rowsFor(budget, heapBytesMax)) : undefined;
  const published = shared && new PublishedChunks(shared.index);
  const memory = new MemoryTier({ budget, heapBytesMax, published });
  const { replicaId } = cluster;
  const maxChunks = place?.maxChunks ?? diskChunksMax(config.memory.maxBytes);
  const shares = diskSharesOf(config);
  const sparesEventLoop = shared !== undefined;
  const disk =
    place &&
    DiskTier.open({ ...place, maxChunks, replicaId, policy, shares, sparesEventLoop, clock, logger });
  if (disk) held.add(step("close the disk", () => disk.close(0)));
  // It holds nothing until it is asked for the first time.
  const cachestore = openCachestore({ config, clock, logger });
  // Commits that have not begun give way to reads that wait for memory: a chunk that is not kept costs a fetch later.
  for (const tier of [disk, cachestore?.store]) {
    if (tier) budget.addLastResort((missingBytes) => tier.dropQueued(missingBytes));
  }
  return {
    budget,
    metadataHeap: new HeapShare(budget, metadataBytesMax(config.memory.maxBytes, heapLimitBytes)),
    memory,
    shared,
    disk,
    cachestore,
    replicaId: disk?.replicaId ?? replicaId ?? randomBytes(8).toString("hex"),
  };
}

function sharedMemory({ metadata, origins }: Config, rowsMax: number): SharedMemory {
  const memory = revocationMemory(metadata.maxEntries * origins.length);
  return { index: new SharedIndex(rowsMax), revocations: new Revocations(memory) };
}

/** As many blocks as the memory tier can hold: each takes a piece of a slab, and its chunk some heap. */
function rowsFor({ maxBytes }: MemoryBudget, heapBytesMax: number): number {
  const chunksMax = heapBytesMax / memoryChunkCostBytes;
  return Math.floor(Math.min(maxBytes / pieceSizeFor(1), chunksMax + maxBytes / segmentSizeBytes));
}

/** The notices in /readyz. A replica without its disk or cachestore serves on, more slowly. */
export function addTierNotices(readiness: Readiness, { disk, cachestore }: Tiers): void {
  if (cachestore) readiness.addNotice("cachestore", cachestoreNotice(cachestore));
  if (disk) readiness.addNotice("disk", diskNotice(disk));
}

function diskNotice(disk: Pick<DiskTier, "isSetAside">): ReadinessCheck {
  return () =>
    disk.isSetAside
      ? "set aside: its file system has not answered within disk.call_timeout; check the disk"
      : null;
}
