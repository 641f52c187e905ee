/** The cachestore in numbers: what was had from it, what was given to it, and how its breaker stands. */
import type { Breaker } from "../../store/cachestore/breaker.ts";
import type { Catalog } from "../../store/cachestore/catalog.ts";
import type { GuardedCachestore } from "../../store/cachestore/guarded-cachestore.ts";
import type { PosixStats } from "../../store/cachestore/posix/posix-stats.ts";
import type { S3CachestoreStats } from "../../store/cachestore/s3/s3-cachestore-stats.ts";
import type { LabelledValue, MetricsRegistry } from "./metrics.ts";

export interface CachestoreParts {
  readonly store: Pick<GuardedCachestore, "stats" | "breakerState" | "denied">;
  readonly driver:
    | { readonly kind: "s3"; readonly stats: S3CachestoreStats; readonly putPolicy: string | undefined }
    | { readonly kind: "posixfs"; readonly stats: PosixStats };
  readonly breaker: Pick<Breaker, "stats">;
  readonly catalog: Pick<Catalog, "stats" | "size">;
}

const breakerStates = ["closed", "open", "half-open"] as const;

export function registerCachestoreMetrics(metrics: MetricsRegistry, parts: CachestoreParts): void {
  registerReads(metrics, parts);
  registerCommits(metrics, parts);
  registerBreaker(metrics, parts);
  registerCatalog(metrics, parts);
  registerDamage(metrics, parts);
}

function registerReads(metrics: MetricsRegistry, { store: { stats } }: CachestoreParts): void {
  metrics.counter("orca_cachestore_reads_total", "Reads of the cachestore, by result.", () => [
    { labels: { result: "hit" }, value: stats.hits },
    { labels: { result: "miss" }, value: stats.misses - stats.readsFailed - stats.missesUnasked },
    { labels: { result: "failed" }, value: stats.readsFailed },
    { labels: { result: "breaker_open" }, value: stats.missesUnasked },
  ]);
  metrics.counter("orca_cachestore_read_bytes_total", "Bytes of hits.", () => stats.bytesRead);
}

function registerCommits(metrics: MetricsRegistry, { store: { stats }, driver }: CachestoreParts): void {
  metrics.counter("orca_cachestore_commits_total", "Commits to the cachestore, by result.", () => [
    { labels: { result: "stored" }, value: stats.stored },
    { labels: { result: "present" }, value: stats.present },
    { labels: { result: "failed" }, value: stats.commitsFailed },
    { labels: { result: "breaker_open" }, value: stats.commitsDropped },
  ]);
  metrics.gauge(
    "orca_cachestore_info",
    "1, with the driver and how it keeps two replicas from writing one chunk.",
    () => [
      {
        labels: { driver: driver.kind, commit: driver.kind === "s3" ? (driver.putPolicy ?? "") : "link" },
        value: 1,
      },
    ],
  );
}

function registerBreaker(metrics: MetricsRegistry, { store, breaker }: CachestoreParts): void {
  metrics.gauge("orca_cachestore_breaker_state", "1 for the state the breaker is in.", () =>
    breakerStates.map((state) => ({ labels: { state }, value: store.breakerState === state ? 1 : 0 })),
  );
  metrics.counter(
    "orca_cachestore_breaker_opened_total",
    "Times the breaker opened.",
    () => breaker.stats.opened,
  );
  metrics.gauge("orca_cachestore_denied", "1 while the store refuses Orca's credentials or rights.", () =>
    store.denied ? 1 : 0,
  );
}

function registerCatalog(metrics: MetricsRegistry, { catalog, store }: CachestoreParts): void {
  metrics.gauge("orca_catalog_hints", "Chunks believed to be in the cachestore.", () => catalog.size);
  metrics.counter("orca_catalog_changes_total", "Hints by what became of them.", () => {
    const { learned, forgotten, evicted } = catalog.stats;
    return [
      { labels: { change: "learned" }, value: learned },
      { labels: { change: "forgotten" }, value: forgotten },
      { labels: { change: "evicted" }, value: evicted },
    ];
  });
  metrics.counter("orca_catalog_wrong_total", "Hints that proved wrong.", () => store.stats.hintsWrong);
}

/** What reads met that should not be there. The commit that replaces it meets it too, and counts nothing a second time. */
function registerDamage(metrics: MetricsRegistry, { driver }: CachestoreParts): void {
  metrics.counter(
    "orca_cachestore_damaged_total",
    "Chunks found damaged in the cachestore, by what was wrong.",
    () => {
      const damaged: LabelledValue[] = [{ labels: { what: "checksum" }, value: driver.stats.damaged }];
      if (driver.kind === "s3") damaged.push({ labels: { what: "size" }, value: driver.stats.missized });
      return damaged;
    },
  );
  if (driver.kind !== "s3") return;
  metrics.counter(
    "orca_cachestore_removals_failed_total",
    "Damaged objects that could not be deleted.",
    () => driver.stats.removalsFailed,
  );
}
