/**
 * The endpoints of the ops listener that look into the cache: stats, scrub, clear and inspect. Nothing that serves a client
 * depends on them.
 */
import type { Clock } from "../base/clock.ts";
import type { Logger } from "../base/logger.ts";
import type { MemoryBudget } from "../base/memory-budget.ts";
import type { Config } from "../config/config.ts";
import { BlockWays } from "../fill/inspection/block-ways.ts";
import { HeldBlocks } from "../fill/inspection/held-blocks.ts";
import { HeldChunks } from "../fill/inspection/held-chunks.ts";
import { ObjectInspection } from "../fill/inspection/object-inspection.ts";
import { ClusterWarmer } from "../fill/warming/cluster-warmer.ts";
import type { WarmAnswers } from "../fill/warming/warm-peers.ts";
import { WarmQueue } from "../fill/warming/warm-queue.ts";
import type { Buckets } from "../object/buckets.ts";
import type { ExplainAnswers } from "../object/explaining/explain-peers.ts";
import { CacheClear } from "../ops/endpoints/cache-clear.ts";
import { cacheEndpoints } from "../ops/endpoints/cache-endpoints.ts";
import { explainEndpoint } from "../ops/endpoints/explain/explain-endpoint.ts";
import { ObjectExplanation } from "../ops/endpoints/explain/object-explanation.ts";
import { inspectEndpoint } from "../ops/endpoints/inspect-endpoint.ts";
import type { OpsEndpoint } from "../ops/ops-endpoint.ts";
import { ClusterPins } from "../ops/pins/cluster-pins.ts";
import { pinsEndpoint } from "../ops/pins/pins-endpoint.ts";
import { ClusterPurge } from "../ops/purge/cluster-purge.ts";
import { purgeEndpoint, unpinEndpoint } from "../ops/purge/purge-endpoint.ts";
import { warmEndpoints } from "../ops/warm/warm-endpoints.ts";
import { WarmUpHandOver } from "../ops/warm/warm-up-hand-over.ts";
import { WarmUps } from "../ops/warm/warm-ups.ts";
import type { DiskTier } from "../store/disk/disk-tier.ts";
import { type PinAnswers, replicaPins } from "../store/disk/pins/replica-pins.ts";
import type { MemoryTier } from "../store/memory-tier.ts";
import { Scrub } from "../store/scrub/scrub.ts";
import type { Trace } from "../trace/trace.ts";
import type { OpenCachestore } from "./cachestore.ts";
import { ReplicaExplainAnswers } from "./explain-answers.ts";
import type { MeshClient } from "./mesh-client.ts";
import type { OpenOrigin } from "./metadata.ts";
import type { ReplicaReadPath } from "./read-path.ts";

export interface CacheViewOptions {
  readonly config: Pick<Config, "disk" | "cluster" | "chunking">;
  readonly replicaId: string;
  readonly budget: MemoryBudget;
  readonly memory: MemoryTier;
  readonly disk: DiskTier | undefined;
  readonly cachestore: OpenCachestore | undefined;
  readonly readPath: Pick<ReplicaReadPath, "forReaders" | "warmer">;
  readonly origins: readonly OpenOrigin[];
  readonly buckets: Buckets;
  /** Undefined in a cluster of one. */
  readonly meshClient: MeshClient | undefined;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly trace: Trace;
}

export class CacheView {
  /** The chunks of an object in this replica's stores, for peers as well. */
  readonly held: HeldChunks;
  /** Which way a read would go, for peers as well. */
  readonly explained: ExplainAnswers;
  /** For peers as well, as {@link warmer} and {@link pins}. */
  readonly clear: CacheClear;
  readonly warmer: WarmAnswers;
  readonly pins: PinAnswers;
  /** For the ops listener. */
  readonly endpoints: readonly OpsEndpoint[];
  /** Undefined without a disk tier. */
  readonly scrub: Scrub | undefined;
  readonly warmUps: WarmUps;
  /** Objects that clients want warmed. */
  readonly warmQueue: WarmQueue;
  readonly #purge: ClusterPurge;

  constructor(options: CacheViewOptions) {
    const { replicaId, memory, disk, cachestore, readPath, origins, buckets, meshClient, clock, logger } =
      options;
    const { flights } = readPath.forReaders;
    this.held = new HeldChunks({ memory, disk, cachestore: cachestore?.store, flights });
    const intervalMs = options.config.disk?.scrubIntervalMs ?? 0;
    const scrub = disk && new Scrub({ disk, intervalMs, clock, logger, stalls: options.trace.stalls });
    this.scrub = scrub;
    this.warmer = readPath.warmer;
    this.pins = (objectsMax) => replicaPins(disk?.pins, objectsMax);
    this.clear = new CacheClear({
      directories: origins.flatMap(({ directory, authority }) => [directory, authority]),
      listings: origins.flatMap(({ origin, listings, authorityListings }) =>
        [listings, authorityListings].map((cache) => ({ originId: origin.id, cache })),
      ),
      parts: origins.flatMap(({ parts, authorityParts }) => [parts, authorityParts]),
      flights,
      memory,
      disk,
      cachestore: cachestore?.store,
    });
    const directories = origins.map(({ directory }) => directory);
    const inspection = new ObjectInspection({ replicaId, held: this.held, cluster: meshClient });
    const tiers = { memory, disk, cachestore: cachestore?.store, flights };
    this.explained = new ReplicaExplainAnswers(new HeldBlocks(tiers), origins);
    const explanation = this.#explanation(options);
    const warmer = clusterWarmerOf(options);
    this.warmQueue = new WarmQueue({ warmer, clock, logger });
    this.warmUps = new WarmUps({
      warmer,
      origins: new Map(origins.map(({ origin }) => [origin.id, origin])),
      buckets,
      handOver: handOverOf(options),
      clock,
      logger,
    });
    this.#purge = new ClusterPurge({
      replicaId,
      local: this.clear,
      cluster: meshClient && { coordination: meshClient.coordination, peers: meshClient.cachePeers },
      cachestore: cachestore?.store,
      chunkTiers: options.config.chunking.tiers,
      clock,
    });
    this.endpoints = [
      ...cacheEndpoints({
        stats: { ...options, scrub, directories },
        scrub,
        clear: this.clear,
        buckets,
        clock,
      }),
      inspectEndpoint({ buckets, inspection }),
      explainEndpoint({ replicaId, buckets, explanation }),
      purgeEndpoint({ purge: this.#purge, buckets }),
      unpinEndpoint({ purge: this.#purge, buckets }),
      this.#pinsEndpoint(options),
      ...warmEndpoints({ warmUps: this.warmUps, buckets }),
    ];
  }

  #pinsEndpoint({ replicaId, buckets, meshClient, clock }: CacheViewOptions): OpsEndpoint {
    const { pins } = this;
    const cluster = meshClient && { membership: meshClient.membership, peers: meshClient.cachePeers };
    const all = new ClusterPins({ replicaId, pins, buckets, cluster, clock });
    return pinsEndpoint({ replicaId, pins, cluster: all, buckets });
  }

  #explanation({ config, replicaId, cachestore, meshClient }: CacheViewOptions): ObjectExplanation {
    const { coordination } = meshClient ?? {};
    const { replication: copies } = config.cluster;
    return new ObjectExplanation({
      replicaId,
      answers: this.explained,
      ways: new BlockWays({ replicaId, coordination, copies, hasCachestore: cachestore !== undefined }),
      chunkSizeBytesMin: Math.min(...config.chunking.tiers.map(({ chunkSizeBytes }) => chunkSizeBytes)),
      cluster: meshClient,
    });
  }

  /** Lets the scrub run by itself. To be called once. */
  start(): void {
    this.scrub?.start();
  }

  /** Warm-ups begin no more chunks, so that another replica can go on; the rest ends. Resolves when their chunks have ended. */
  pause(): Promise<void> {
    void this.#stopOthers().catch(() => undefined);
    return this.warmUps.pause();
  }

  /** Hands on the warm-ups that were paused. To be called when the others know that this replica leaves. */
  handOn(): Promise<void> {
    return this.warmUps.handOn();
  }

  /** Ends warm-ups, purges and the scrub. May be called any number of times. */
  async stop(): Promise<void> {
    await Promise.all([this.warmUps.stop(), this.#stopOthers()]);
  }

  async #stopOthers(): Promise<void> {
    await Promise.all([this.warmQueue.stop(), this.#purge.stop(), this.scrub?.stop()]);
  }
}

function handOverOf({ meshClient, clock, logger }: CacheViewOptions): WarmUpHandOver | undefined {
  if (!meshClient) return undefined;
  const { coordination, cachePeers: peers } = meshClient;
  return new WarmUpHandOver({ coordination, peers, clock, logger });
}

function clusterWarmerOf({
  config,
  replicaId,
  readPath,
  disk,
  meshClient,
  clock,
}: CacheViewOptions): ClusterWarmer {
  const cluster = meshClient && {
    coordination: meshClient.coordination,
    peers: meshClient.cachePeers,
    copies: disk ? config.cluster.replication : 1,
  };
  return new ClusterWarmer({ replicaId, local: readPath.warmer, cluster, clock });
}
