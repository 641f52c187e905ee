/**
 * The metrics of a replica: which number of which part is called what. Parts count for themselves and do not know of
 * this file; it sees them only as the numbers it reads, so a part can change without it as long as they stay.
 */
import type { Histogram } from "../../base/histogram.ts";
import type { MemoryBudget } from "../../base/memory-budget.ts";
import type { Filler } from "../../fill/filler.ts";
import type { ReadPath } from "../../fill/object-reader.ts";
import type { Directory } from "../../object/directory.ts";
import type { ListingCache } from "../../object/listing-cache.ts";
import type { GuardedOrigin } from "../../origin/guarded-origin.ts";
import type { DiskTier } from "../../store/disk/disk-tier.ts";
import type { MemoryTier } from "../../store/memory-tier.ts";
import type { LabelledHistogram, LabelledValue, MetricsRegistry } from "./metrics.ts";

/** The numbers of the edge, which is this layer's sibling and is known by its shape alone. */
export interface EdgeCounters {
  readonly requests: Readonly<Record<string, ReadonlyMap<number, number>>>;
  readonly firstByteSeconds: Readonly<Record<string, Histogram>>;
  readonly totalSeconds: Readonly<Record<string, Histogram>>;
  readonly bodiesCut: number;
  readonly clientsGone: number;
  readonly clientsStalled: number;
  readonly requestsMalformed: number;
}

/** The certificate that clients are shown. */
export interface TlsCounters {
  readonly expiresMs: number;
  readonly stats: { readonly reloads: number; readonly reloadFailures: number };
}

export interface ReplicaParts {
  readonly edge: EdgeCounters;
  readonly listener: { readonly requestsInFlight: number };
  readonly tls: TlsCounters | undefined;
  readonly readPath: ReadPath;
  readonly filler: Filler;
  readonly budget: MemoryBudget;
  readonly memory: MemoryTier;
  readonly disk: DiskTier | undefined;
  readonly origins: readonly GuardedOrigin[];
  readonly directories: ReadonlyMap<string, Directory>;
  readonly lists: ReadonlyMap<string, ListingCache>;
}

export function registerReplicaMetrics(metrics: MetricsRegistry, parts: ReplicaParts): void {
  registerEdge(metrics, parts);
  if (parts.tls) registerTls(metrics, parts.tls);
  registerFill(metrics, parts.filler);
  registerMemory(metrics, parts.budget, parts.memory);
  if (parts.disk) registerDisk(metrics, parts.disk);
  registerOrigins(metrics, parts.origins);
  registerDirectories(metrics, parts.directories);
  registerLists(metrics, parts.lists);
}

function registerEdge(metrics: MetricsRegistry, { edge, listener, readPath }: ReplicaParts): void {
  metrics.counter(
    "orca_requests_total",
    "Requests ended, by operation and HTTP status; 499 is a client that left before it was answered.",
    function* () {
      for (const [operation, byStatus] of Object.entries(edge.requests)) {
        for (const [status, value] of byStatus)
          yield { labels: { operation, status: String(status) }, value };
      }
    },
  );
  metrics.gauge("orca_requests_in_flight", "Requests being answered.", () => listener.requestsInFlight);
  metrics.counter(
    "orca_bodies_cut_total",
    "Responses cut short because their bytes could not be had any more.",
    () => edge.bodiesCut,
  );
  metrics.counter(
    "orca_clients_gone_total",
    "Clients that left, or were cut off as stalled, before their response was complete.",
    () => edge.clientsGone,
  );
  metrics.counter(
    "orca_clients_stalled_total",
    "Clients cut off because they took no byte for too long.",
    () => edge.clientsStalled,
  );
  metrics.counter(
    "orca_requests_malformed_total",
    "Connections that did not speak HTTP.",
    () => edge.requestsMalformed,
  );
  metrics.counter("orca_bytes_sent_total", "Object bytes given to clients, by where they came from.", () =>
    labelled("source", readPath.sentBytes),
  );
  metrics.histogram(
    "orca_first_byte_seconds",
    "Time until the first byte of an object was in hand, by its source.",
    () => histograms("source", edge.firstByteSeconds),
  );
  metrics.histogram("orca_request_seconds", "Time until the last byte was sent, by operation.", () =>
    histograms("operation", edge.totalSeconds),
  );
}

function registerTls(metrics: MetricsRegistry, tls: TlsCounters): void {
  metrics.gauge(
    "orca_tls_certificate_expiry_timestamp_seconds",
    "When the certificate that clients are shown ends.",
    () => tls.expiresMs / 1000,
  );
  metrics.counter("orca_tls_reloads_total", "New certificates taken up.", () => tls.stats.reloads);
  metrics.counter(
    "orca_tls_reload_failures_total",
    "Looks at the certificate's files that found no pair to take up.",
    () => tls.stats.reloadFailures,
  );
}

function registerFill(metrics: MetricsRegistry, filler: Filler): void {
  const { stats } = filler;
  metrics.gauge("orca_flights", "Fills in progress, commits included.", () => filler.flightsInProgress);
  metrics.counter("orca_flights_total", "Fills started.", () => stats.flights);
  metrics.counter(
    "orca_flight_joins_total",
    "Readers that found a flight for their chunk.",
    () => stats.joins,
  );
  metrics.counter(
    "orca_flights_moot_total",
    "Flights that found their chunk in a tier after all.",
    () => stats.moot,
  );
  metrics.counter("orca_flights_failed_total", "Flights that could not get their bytes.", () => stats.failed);
  metrics.counter("orca_read_aheads_total", "Fills started before anybody asked.", () => stats.readAheads);
  metrics.counter("orca_promotions_total", "Chunks brought from disk into memory.", () => stats.promotions);
  metrics.counter("orca_commits_total", "Chunks committed to disk.", () => stats.commits);
  metrics.counter(
    "orca_commits_refused_total",
    "Chunks the disk did not keep.",
    () => stats.commitsNotStored,
  );
}

function registerMemory(metrics: MetricsRegistry, budget: MemoryBudget, memory: MemoryTier): void {
  metrics.gauge(
    "orca_memory_max_bytes",
    "Bound on chunk bytes in memory (memory.max_bytes).",
    () => budget.maxBytes,
  );
  metrics.gauge(
    "orca_memory_used_bytes",
    "Chunk bytes in memory: cached, being filled, being sent.",
    () => budget.usedBytes,
  );
  metrics.gauge("orca_memory_cached_bytes", "Bytes of chunks in the memory tier.", () => memory.bytes);
  metrics.gauge("orca_memory_chunks", "Chunks in the memory tier.", () => memory.stats.chunks);
  metrics.gauge("orca_memory_waiting", "Fills and disk reads that wait for memory.", () => budget.waiting);
  metrics.counter("orca_memory_hits_total", "Chunks found in memory.", () => memory.stats.hits);
  metrics.counter("orca_memory_misses_total", "Chunks not found in memory.", () => memory.stats.misses);
  metrics.counter("orca_memory_evictions_total", "Chunks evicted from memory.", () => memory.stats.evictions);
}

function registerDisk(metrics: MetricsRegistry, disk: DiskTier): void {
  const { stats } = disk;
  metrics.gauge(
    "orca_disk_used_bytes",
    "Bytes of chunk files on disk, footers included.",
    () => disk.usedBytes,
  );
  metrics.gauge("orca_disk_max_bytes", "Bound on bytes on disk (disk.max_bytes).", () => disk.maxBytes);
  metrics.gauge("orca_disk_chunks", "Chunks on disk.", () => disk.chunkCount);
  metrics.gauge("orca_disk_pending_bytes", "Bytes of commits that have not ended.", () => disk.pendingBytes);
  metrics.counter("orca_disk_blocks_read_total", "Blocks read and verified.", () => stats.blocksRead);
  metrics.counter("orca_disk_evictions_total", "Chunks evicted from disk.", () => stats.evictions);
  metrics.counter("orca_disk_damaged_total", "Chunk files found damaged, and deleted.", () => stats.damaged);
  metrics.counter("orca_disk_vanished_total", "Chunk files that were gone when read.", () => stats.vanished);
  metrics.counter(
    "orca_disk_commits_dropped_total",
    "Commits let go of to make room in memory.",
    () => stats.commitsDropped,
  );
  metrics.counter(
    "orca_disk_files_swept_total",
    "Files removed at start: commits that a crash cut short, and what is no chunk.",
    () => stats.stagedFilesRemoved + stats.foreignFilesRemoved,
  );
  metrics.counter(
    "orca_disk_thread_crashes_total",
    "Times the thread that writes had to be started anew.",
    () => stats.threadCrashes,
  );
  metrics.counter("orca_disk_errors_total", "Errors of the file system, by code.", () =>
    labelled("code", stats.errorsByCode),
  );
}

function registerOrigins(metrics: MetricsRegistry, origins: readonly GuardedOrigin[]): void {
  const each = (read: (origin: GuardedOrigin) => number) => (): LabelledValue[] =>
    origins.map((origin) => ({ labels: { origin: origin.id }, value: read(origin) }));
  metrics.counter("orca_origin_requests_total", "Requests sent to an origin, by operation.", function* () {
    for (const { id, stats } of origins) {
      for (const [operation, value] of Object.entries(stats.requests))
        yield { labels: { origin: id, operation }, value };
    }
  });
  metrics.counter("orca_origin_errors_total", "Requests an origin failed, by error code.", function* () {
    for (const { id, stats } of origins) {
      for (const [code, value] of stats.errors) yield { labels: { origin: id, code }, value };
    }
  });
  metrics.counter(
    "orca_origin_bytes_total",
    "Object bytes received from an origin.",
    each(({ stats }) => stats.bytes),
  );
  metrics.counter(
    "orca_origin_retries_total",
    "Attempts repeated after a failure.",
    each(({ stats }) => stats.retries),
  );
  metrics.counter(
    "orca_origin_resumes_total",
    "Bodies taken up again where they broke off.",
    each(({ stats }) => stats.resumes),
  );
  metrics.gauge(
    "orca_origin_requests_in_flight",
    "Requests in flight to an origin.",
    each((origin) => origin.requestsInFlight),
  );
  metrics.gauge(
    "orca_origin_requests_waiting",
    "Requests that wait for a permit.",
    each((origin) => origin.requestsWaiting),
  );
  metrics.gauge(
    "orca_origin_requests_max",
    "Requests that may be in flight to an origin: this replica's share of target_global.",
    each((origin) => origin.requestsInFlightMax),
  );
}

function registerDirectories(metrics: MetricsRegistry, directories: ReadonlyMap<string, Directory>): void {
  metrics.gauge("orca_directory_entries", "Objects whose metadata is known.", () =>
    [...directories].map(([origin, directory]) => ({ labels: { origin }, value: directory.size })),
  );
  metrics.counter("orca_directory_lookups_total", "Look-ups of metadata, by result.", function* () {
    for (const [origin, { stats }] of directories) {
      yield { labels: { origin, result: "hit" }, value: stats.hits };
      yield { labels: { origin, result: "negative_hit" }, value: stats.negativeHits };
      yield { labels: { origin, result: "miss" }, value: stats.misses };
      yield { labels: { origin, result: "join" }, value: stats.joins };
    }
  });
  metrics.counter("orca_directory_checks_total", "Questions about metadata that was known.", function* () {
    for (const [origin, { stats }] of directories) {
      yield { labels: { origin, reason: "refresh" }, value: stats.refreshes };
      yield { labels: { origin, reason: "revalidation" }, value: stats.revalidations };
    }
  });
}

function registerLists(metrics: MetricsRegistry, lists: ReadonlyMap<string, ListingCache>): void {
  metrics.gauge("orca_list_cache_entries", "Pages of listings that are kept.", () =>
    [...lists].map(([origin, cache]) => ({ labels: { origin }, value: cache.size })),
  );
  metrics.counter("orca_list_cache_lookups_total", "Pages of listings asked for, by result.", function* () {
    for (const [origin, { stats }] of lists) {
      yield { labels: { origin, result: "hit" }, value: stats.hits };
      yield { labels: { origin, result: "miss" }, value: stats.misses };
      yield { labels: { origin, result: "join" }, value: stats.joins };
    }
  });
  metrics.counter("orca_list_cache_oversize_total", "Pages too large to be kept.", () =>
    [...lists].map(([origin, { stats }]) => ({ labels: { origin }, value: stats.oversize })),
  );
}

function labelled(label: string, values: Readonly<Record<string, number>>): LabelledValue[] {
  return Object.entries(values).map(([name, value]) => ({ labels: { [label]: name }, value }));
}

function histograms(label: string, byName: Readonly<Record<string, Histogram>>): LabelledHistogram[] {
  return Object.entries(byName).map(([name, histogram]) => ({ labels: { [label]: name }, histogram }));
}
