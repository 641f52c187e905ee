/** Metrics of the cachestore: reads, commits, its breaker, and what the catalog knows of it. */
import type { Breaker } from "../../store/cachestore/breaker.ts";
import type { Catalog } from "../../store/cachestore/catalog.ts";
import type { GuardedCachestore } from "../../store/cachestore/guarded-cachestore.ts";
import type { PosixStats } from "../../store/cachestore/posix/posix-stats.ts";
import type { S3CachestoreStats } from "../../store/cachestore/s3/s3-cachestore.ts";
import { type LabelledValue, labelled, type MetricsRegistry } from "./metrics.ts";

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
  metrics.counter(
    "orca_cachestore_reads_total",
    {
      meaning:
        "Reads of the cachestore, by result: hit, miss (not there, damaged, or of the wrong size), failed (an error, no turn within queue_timeout, or cancelled by the reader), breaker_open (not tried).",
      watch: "The larger the part of hit, the better. Breaker_open grows: the store is down.",
    },
    () =>
      labelled("result", {
        hit: stats.hits,
        miss: stats.misses - stats.readsFailed - stats.missesUnasked,
        failed: stats.readsFailed,
        breaker_open: stats.missesUnasked,
      }),
  );
  metrics.counter(
    "orca_cachestore_read_bytes_total",
    { meaning: "Bytes of hits.", watch: "Higher is better: the origin did not send these." },
    () => stats.bytesRead,
  );
}

function registerCommits(metrics: MetricsRegistry, { store: { stats }, driver }: CachestoreParts): void {
  metrics.counter(
    "orca_cachestore_commits_total",
    {
      meaning:
        "Commits to the cachestore, by result: stored, present (another replica was first), failed (an error, a full store, or memory was needed), breaker_open (not tried).",
      watch: "Failed grows while the breaker is closed: the store is full, or slower than the origin.",
    },
    () =>
      labelled("result", {
        stored: stats.stored,
        present: stats.present,
        failed: stats.commitsFailed,
        breaker_open: stats.commitsDropped,
      }),
  );
  metrics.gauge(
    "orca_cachestore_info",
    {
      meaning:
        "Always 1. driver: s3 or posixfs. commit: how two replicas avoid storing one chunk twice: conditional, stat or link.",
      watch: "Constant.",
    },
    () => [
      {
        labels: { driver: driver.kind, commit: driver.kind === "s3" ? (driver.putPolicy ?? "") : "link" },
        value: 1,
      },
    ],
  );
}

function registerBreaker(metrics: MetricsRegistry, { store, breaker }: CachestoreParts): void {
  metrics.gauge(
    "orca_cachestore_breaker_state",
    {
      meaning: "1 for the state of the breaker: closed, open, half-open.",
      watch: "Open for minutes: the cachestore is down.",
    },
    () => breakerStates.map((state) => ({ labels: { state }, value: store.breakerState === state ? 1 : 0 })),
  );
  metrics.counter(
    "orca_cachestore_breaker_opened_total",
    {
      meaning: "Times the breaker opened. Each trial that fails counts.",
      watch: "Should not grow: the cachestore fails.",
    },
    () => breaker.stats.opened,
  );
  metrics.gauge(
    "orca_cachestore_denied",
    {
      meaning: "1 while the store denies Orca's credentials or rights. /readyz shows it among its notices.",
      watch: "Should be 0: the keys of the cachestore, or their rights.",
    },
    () => (store.denied ? 1 : 0),
  );
}

function registerCatalog(metrics: MetricsRegistry, { catalog, store }: CachestoreParts): void {
  metrics.gauge(
    "orca_catalog_hints",
    {
      meaning: "Chunks that the catalog lists as held by the cachestore.",
      watch: "cachestore.max_hints bounds it.",
    },
    () => catalog.size,
  );
  metrics.counter(
    "orca_catalog_changes_total",
    {
      meaning:
        "Changes of hints, by change: learned, forgotten (wrong, or the chunk was deleted), evicted (over the bound).",
      watch: "Evicted grows: raise cachestore.max_hints.",
    },
    () => {
      const { learned, forgotten, evicted } = catalog.stats;
      return labelled("change", { learned, forgotten, evicted });
    },
  );
  metrics.counter(
    "orca_catalog_wrong_total",
    {
      meaning: "Hints to chunks that the cachestore did not hold.",
      watch: "Grows when something deletes from the store.",
    },
    () => store.stats.hintsWrong,
  );
}

/** Counts damage that reads find. The commit that replaces the chunk finds it too, and counts nothing a second time. */
function registerDamage(metrics: MetricsRegistry, { driver }: CachestoreParts): void {
  metrics.counter(
    "orca_cachestore_damaged_total",
    {
      meaning:
        "Damaged chunks found in the cachestore, by what: checksum (deleted; on posixfs also a wrong size), size (S3 only: stays until a put overwrites it).",
      watch: "Should not grow: the disks of the store, or something else writes there.",
    },
    () => {
      const damaged: LabelledValue[] = [{ labels: { what: "checksum" }, value: driver.stats.damaged }];
      if (driver.kind === "s3") damaged.push({ labels: { what: "size" }, value: driver.stats.missized });
      return damaged;
    },
  );
  if (driver.kind !== "s3") return;
  metrics.counter(
    "orca_cachestore_removals_failed_total",
    {
      meaning: "S3 only: damaged objects that could not be deleted. The next read finds them again.",
      watch: "Should not grow: the rights of the cachestore's keys.",
    },
    () => driver.stats.removalsFailed,
  );
}
