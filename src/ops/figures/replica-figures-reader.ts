/**
 * The figures of this replica: reads what its parts count, as `/metrics` does, and keeps an hour of it. Nothing is counted
 * a second time. It samples the counts at the end of each slot of the history.
 */
import type { Clock, Timer } from "../../base/clock.ts";
import type { CumulativeBucket, Histogram } from "../../base/histogram.ts";
import { FigureHistory, type SampledTotals, slotsMax } from "../../figures/figure-history.ts";
import { windowMs } from "../../figures/hot-objects.ts";
import { type ErrorTotals, RecentErrors } from "../../figures/recent-errors.ts";
import type {
  CachestoreFigures,
  LatencyBucket,
  OriginFigures,
  ReplicaFigures,
  ReplicationFigures,
  ScrubFigures,
  TierFigures,
} from "../../figures/replica-figures.ts";
import { troubleIn } from "../readiness.ts";
import type { FigureCounters } from "./figure-counters.ts";

/** The place of errors that clients were answered with. An origin with this id shares it. */
const clientsPlace = "clients";

export class ReplicaFiguresReader {
  readonly #counters: FigureCounters;
  readonly #clock: Clock;
  readonly #startedMs: number;
  readonly #history: FigureHistory;
  readonly #errors = new RecentErrors();
  #timer: Timer;
  #rotatedMs: number;

  constructor(counters: FigureCounters, clock: Clock) {
    this.#counters = counters;
    this.#clock = clock;
    this.#startedMs = clock.now();
    this.#rotatedMs = this.#startedMs;
    this.#history = new FigureHistory(this.#startedMs, totalsOf(counters));
    this.#timer = this.#nextSample();
  }

  stop(): void {
    this.#timer.cancel();
  }

  /** With the newest `historySlotsMax` slots. */
  read(historySlotsMax = slotsMax): ReplicaFigures {
    const { replicaId, zone, version, readiness, edge, sentBytes, hotObjects } = this.#counters;
    const { servedBytes, originBytes, requests } = totalsOf(this.#counters);
    const nowMs = this.#clock.now();
    this.#errors.sample(nowMs, errorTotals(this.#counters));
    const sources = Object.entries(sentBytes).map(([source, bytes]) => [
      source,
      { bytes, requests: edge.firstByteSeconds[source]?.count ?? 0 },
    ]);
    return {
      replica_id: replicaId,
      zone,
      version,
      phase: readiness.phase,
      at_ms: nowMs,
      started_ms: this.#startedMs,
      served_bytes: servedBytes,
      origin_bytes: originBytes,
      requests,
      bad_answers: badAnswers(edge.requests),
      sources: Object.fromEntries(sources),
      first_byte: latencyBuckets(Object.values(edge.firstByteSeconds)),
      tiers: tiersOf(this.#counters),
      fills: {
        flights: this.#counters.filler.flightsInProgress,
        relays: this.#counters.relay?.flightsInProgress ?? 0,
      },
      origins: originsOf(this.#counters),
      ...replicationOf(this.#counters),
      ...scrubOf(this.#counters),
      ...cachestoreOf(this.#counters),
      notices: troubleIn(readiness.report()),
      errors: this.#errors.list(),
      hot_objects: hotObjects.list(),
      history: this.#history.series(historySlotsMax),
    };
  }

  #nextSample(): Timer {
    return this.#clock.timer(FigureHistory.untilEndMs(this.#clock.now()), () => this.#sample());
  }

  #sample(): void {
    const nowMs = this.#clock.now();
    this.#history.sample(nowMs, totalsOf(this.#counters));
    this.#errors.sample(nowMs, errorTotals(this.#counters));
    if (nowMs - this.#rotatedMs >= windowMs || nowMs < this.#rotatedMs) {
      this.#counters.hotObjects.rotate();
      this.#rotatedMs = nowMs;
    }
    this.#timer = this.#nextSample();
  }
}

function totalsOf({ sentBytes, origins, edge }: FigureCounters): SampledTotals {
  return {
    servedBytes: sumOf(Object.values(sentBytes)),
    originBytes: sumOf(origins.map(({ origin }) => origin.stats.bytes)),
    requests: sumOf(Object.values(edge.firstByteSeconds).map(({ count }) => count)),
  };
}

function sumOf(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}

function badAnswers(requests: FigureCounters["edge"]["requests"]): number {
  const counts = Object.values(requests).flatMap((byStatus) => [...byStatus]);
  return sumOf(counts.filter(([status]) => status >= 500).map(([, count]) => count));
}

function errorTotals({ origins, edge }: FigureCounters): ErrorTotals {
  return [
    { place: clientsPlace, totals: edge.errors },
    ...origins.map(({ origin }) => ({ place: origin.id, totals: origin.stats.errors })),
  ];
}

/** The sum of histograms that have the same bounds. */
function latencyBuckets(histograms: readonly Histogram[]): LatencyBucket[] {
  const all: CumulativeBucket[][] = histograms.map((each) => each.cumulativeBuckets());
  const cumulative = (all[0] ?? []).map((_, index) =>
    sumOf(all.map((buckets) => buckets[index]?.count ?? 0)),
  );
  return (all[0] ?? []).map(({ boundSeconds }, index) => ({
    ...(boundSeconds !== Infinity && { bound_ms: boundSeconds * 1000 }),
    count: (cumulative[index] ?? 0) - (cumulative[index - 1] ?? 0),
  }));
}

function tiersOf({ memory, budget, disk, cachestore }: FigureCounters): TierFigures[] {
  const { chunks, evictions } = memory.stats;
  return [
    { tier: "memory", chunks, used_bytes: budget.usedBytes, max_bytes: budget.maxBytes, evictions },
    ...(disk
      ? [
          {
            tier: "disk",
            chunks: disk.chunkCount,
            used_bytes: disk.usedBytes,
            max_bytes: disk.maxBytes,
            evictions: disk.stats.evictions,
          },
        ]
      : []),
    ...(cachestore
      ? [{ tier: "cachestore", chunks: cachestore.catalog.size, used_bytes: 0, evictions: 0 }]
      : []),
  ];
}

function originsOf({ origins, edge }: FigureCounters): OriginFigures[] {
  return origins.map(({ origin, pricePerGb }) => ({
    origin: origin.id,
    served_bytes: edge.servedBytes.get(origin.id) ?? 0,
    origin_bytes: origin.stats.bytes,
    requests: sumOf(Object.values(origin.stats.requests)),
    requests_max: origin.requestsInFlightMax,
    requests_in_flight: origin.requestsInFlight,
    requests_waiting: origin.requestsWaiting,
    throttle_part: origin.throttle?.part ?? 1,
    price_per_gb: pricePerGb,
  }));
}

function replicationOf({ replicated }: FigureCounters): { replication?: ReplicationFigures } {
  if (!replicated) return {};
  const { antiEntropy, puller } = replicated;
  return {
    replication: {
      rounds: antiEntropy.stats.rounds,
      running: antiEntropy.stats.running === 1,
      compared: antiEntropy.stats.compared,
      missing: antiEntropy.stats.missing,
      pulls_waiting: puller.waiting,
      pulls_running: puller.running,
      pulled: puller.stats.pulled,
      pulled_bytes: puller.stats.pulledBytes,
      failed: puller.stats.failed,
    },
  };
}

function scrubOf({ scrub }: FigureCounters): { scrub?: ScrubFigures } {
  if (!scrub) return {};
  const { state, checkedBytes, totalBytes, badChunks, finished, dueMs } = scrub.progress;
  return {
    scrub: {
      state,
      checked_bytes: checkedBytes,
      total_bytes: totalBytes,
      bad_chunks: badChunks,
      ...(finished && { last_finished_ms: finished.finishedMs }),
      ...(dueMs !== undefined && { next_ms: dueMs }),
    },
  };
}

function cachestoreOf({ cachestore }: FigureCounters): { cachestore?: CachestoreFigures } {
  if (!cachestore) return {};
  const { store, catalog } = cachestore;
  const { hits, misses, bytesRead, stored } = store.stats;
  return {
    cachestore: {
      driver: store.kind,
      breaker: store.breakerState,
      hints: catalog.size,
      hits,
      misses,
      bytes_read: bytesRead,
      stored,
    },
  };
}
