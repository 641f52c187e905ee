/**
 * Where one replica keeps chunks: memory, its own disk, and the store that all replicas share, each of them as the
 * configuration has it, and one budget over all bytes that are in memory for their sake.
 */
import { randomBytes } from "node:crypto";
import type { Clock } from "../base/clock.ts";
import type { Logger } from "../base/logger.ts";
import { MemoryBudget } from "../base/memory-budget.ts";
import type { Config } from "../config/config.ts";
import { DiskTier } from "../store/disk/disk-tier.ts";
import { TunedS3Fifo } from "../store/eviction/tuned-s3-fifo.ts";
import { MemoryTier } from "../store/memory-tier.ts";
import { type OpenCachestore, openCachestore } from "./cachestore.ts";

export interface TiersOptions {
  readonly config: Config;
  readonly clock: Clock;
  readonly logger: Logger;
}

export interface Tiers {
  readonly budget: MemoryBudget;
  readonly memory: MemoryTier;
  readonly disk: DiskTier | undefined;
  readonly cachestore: OpenCachestore | undefined;
  /** The disk's, which outlives the process; else the configured one, else one for this run. */
  readonly replicaId: string;
}

/** @throws OrcaError config_invalid where the disk is another process's, or cannot be used. */
export function openTiers({ config, clock, logger }: TiersOptions): Tiers {
  const { disk: place, cluster } = config;
  const budget = new MemoryBudget({ maxBytes: config.memory.maxBytes, clock });
  const memory = new MemoryTier({ budget });
  const { replicaId } = cluster;
  const disk = place && DiskTier.open({ ...place, replicaId, policy: new TunedS3Fifo(), clock, logger });
  const cachestore = openCachestore({ config, clock, logger });
  // Where reads wait for memory, commits that have not begun give way: a chunk not kept costs a fetch later.
  for (const tier of [disk, cachestore?.store]) {
    if (tier) budget.addLastResort((missingBytes) => tier.dropQueued(missingBytes));
  }
  return {
    budget,
    memory,
    disk,
    cachestore,
    replicaId: disk?.replicaId ?? replicaId ?? randomBytes(8).toString("hex"),
  };
}
