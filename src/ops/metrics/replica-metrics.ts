/**
 * The metrics that every replica has, put together, and among them those of fills. These files see a part as the numbers
 * they read, so a part can change as long as its numbers stay.
 */
import type { Filler } from "../../fill/filler.ts";
import type { ChunkWarmer } from "../../fill/warming/chunk-warmer.ts";
import type { WarmQueue } from "../../fill/warming/warm-queue.ts";
import type { WarmUps } from "../warm/warm-ups.ts";
import { type ClientParts, registerClientMetrics } from "./client-metrics.ts";
import { labelled, type MetricsRegistry } from "./metrics.ts";
import { type OriginParts, registerOriginMetrics } from "./origin-metrics.ts";
import { registerTierMetrics, type TierParts } from "./tier-metrics.ts";

export interface ReplicaParts extends ClientParts, TierParts, OriginParts {
  readonly filler: Pick<Filler, "stats" | "flightsInProgress">;
  readonly warmer: Pick<ChunkWarmer, "stats">;
  readonly warmUps: Pick<WarmUps, "running">;
  readonly warmQueue: Pick<WarmQueue, "waiting" | "stats">;
}

export function registerReplicaMetrics(metrics: MetricsRegistry, parts: ReplicaParts): void {
  registerClientMetrics(metrics, parts);
  registerFillMetrics(metrics, parts);
  registerWarmMetrics(metrics, parts);
  registerTierMetrics(metrics, parts);
  registerOriginMetrics(metrics, parts);
}

/** What this replica does for warm-ups, and those that it leads. */
export function registerWarmMetrics(
  metrics: MetricsRegistry,
  { warmer, warmUps, warmQueue }: Pick<ReplicaParts, "warmer" | "warmUps" | "warmQueue">,
): void {
  metrics.gauge("orca_warm_ups", "Warm-ups that this replica leads now.", () => warmUps.running.length);
  metrics.counter(
    "orca_warm_chunks_total",
    {
      meaning:
        "Chunks that warm-ups asked this replica about: held, filled, missing, busy where it had no room for the fill beside clients, or unpinned where a held chunk had no room for its pin.",
      watch: "`busy` grows: clients need the origin, and the warm-up waits.",
    },
    () => labelled("result", warmer.stats),
  );
  metrics.gauge(
    "orca_warm_queue_waiting",
    "Objects that clients asked to be warmed (`server.warm_header`) and that are not yet.",
    () => warmQueue.waiting,
  );
  metrics.counter(
    "orca_warm_queue_total",
    {
      meaning: "Objects that clients asked to be warmed, by end.",
      watch: "`incomplete` grows: the log says why. `full` grows: clients ask for more than 1,000 at once.",
    },
    () => labelled("result", warmQueue.stats),
  );
}

/** How chunks get into this replica, and whether the disk stores them. */
export function registerFillMetrics(
  metrics: MetricsRegistry,
  { filler }: Pick<ReplicaParts, "filler">,
): void {
  const { stats } = filler;
  metrics.gauge(
    "orca_flights",
    { meaning: "Fills and promotions in progress, commits included.", watch: "Depends on the load." },
    () => filler.flightsInProgress,
  );
  metrics.counter(
    "orca_flights_total",
    {
      meaning:
        "Fills started, read-ahead included: from the origin, the cachestore, or a peer that holds a copy.",
      watch: "For the same load, lower is better.",
    },
    () => stats.flights,
  );
  metrics.counter(
    "orca_flight_joins_total",
    {
      meaning: "Readers that joined a flight of their bytes.",
      watch: "Higher is better: each one saved a fill.",
    },
    () => stats.joins,
  );
  metrics.counter(
    "orca_flights_moot_total",
    {
      meaning: "Flights that found their bytes in a tier after all.",
      watch: "Harmless: these fetched nothing.",
    },
    () => stats.moot,
  );
  metrics.counter(
    "orca_flights_failed_total",
    { meaning: "Flights that could not get their bytes.", watch: "Should not grow." },
    () => stats.failed,
  );
  metrics.counter(
    "orca_flights_cut_total",
    {
      meaning: "Flights that ended early, because every client that read them had left.",
      watch: "Grows with clients that leave in the middle.",
    },
    () => stats.cut,
  );
  metrics.counter(
    "orca_read_aheads_total",
    {
      meaning: "Fills started before a client asked for the chunk.",
      watch: "Depends on the load. chunking.readahead bounds it.",
    },
    () => stats.readAheads,
  );
  registerCommits(metrics, { filler });
}

function registerCommits(metrics: MetricsRegistry, { filler }: Pick<ReplicaParts, "filler">): void {
  const { stats } = filler;
  metrics.counter(
    "orca_promotions_total",
    {
      meaning: "Runs of blocks copied from disk into memory, because their chunk was read again.",
      watch: "Far above orca_memory_hits_total: memory is too small for what is read often.",
    },
    () => stats.promotions,
  );
  metrics.counter(
    "orca_commits_total",
    { meaning: "Chunks stored on disk.", watch: "Grows with the fills." },
    () => stats.commits,
  );
  metrics.counter(
    "orca_commits_not_stored_total",
    {
      meaning: "Chunks that the disk did not store.",
      watch: "As fast as orca_commits_total: the disk is full, failing or too slow.",
    },
    () => stats.commitsNotStored,
  );
  metrics.counter(
    "orca_block_commits_total",
    { meaning: "Blocks of partial chunks stored on disk.", watch: "Grows with reads of short ranges." },
    () => stats.blockCommits,
  );
  metrics.counter(
    "orca_block_commits_not_stored_total",
    {
      meaning: "Blocks of partial chunks that the disk did not store.",
      watch: "As fast as orca_block_commits_total: the disk is full, failing or too slow.",
    },
    () => stats.blockCommitsNotStored,
  );
}
