/** What the figures of several replicas come to together. */
import { errorTable } from "../../base/error-table.ts";
import type {
  ErrorFigures,
  LatencyBucket,
  OriginFigures,
  ReplicaFigures,
  SourceFigures,
} from "../../figures/replica-figures.ts";

/** The sums over all replicas that answered, each since its own start. */
export interface FigureTotals {
  readonly served_bytes: number;
  readonly origin_bytes: number;
  /** Served and not fetched; below 0 where more was fetched than served. */
  readonly saved_bytes: number;
  /** `saved_bytes / served_bytes`; null before the first byte. */
  readonly hit_ratio_bytes: number | null;
  readonly requests: number;
  /** The share of responses whose first byte came from memory, a disk or the cachestore; null before the first. */
  readonly hit_ratio_requests: number | null;
  readonly bad_answers: number;
  readonly sources: Readonly<Record<string, SourceFigures>>;
  /** The upper bounds of the buckets; null before the first response, and above the last bound. */
  readonly first_byte_ms: { readonly p50: number | null; readonly p99: number | null };
  /** By `origin.price_per_gb` of the origins that have one; null where none has. */
  readonly cost: { readonly fetched: number; readonly saved: number } | null;
}

export type ExplainedErrors = readonly (ErrorFigures & {
  /** Empty for a code of a later version. */
  readonly meaning: string;
  readonly remedy: string;
  /** Of the answer to clients; null for a code of a later version. */
  readonly status: number | null;
})[];

const tiers = ["memory", "disk", "cachestore"] as const;
const bytesPerGb = 1e9;

export function totalsOf(replicas: readonly ReplicaFigures[]): FigureTotals {
  const sum = (read: (replica: ReplicaFigures) => number): number =>
    replicas.reduce((total, replica) => total + read(replica), 0);
  const [served, origin, requests] = [
    sum(({ served_bytes }) => served_bytes),
    sum(({ origin_bytes }) => origin_bytes),
    sum((replica) => replica.requests),
  ];
  const sources = sourcesOf(replicas);
  const inTiers = tiers.reduce((total, tier) => total + (sources[tier]?.requests ?? 0), 0);
  const buckets = bucketsOf(replicas);
  return {
    served_bytes: served,
    origin_bytes: origin,
    saved_bytes: served - origin,
    hit_ratio_bytes: served === 0 ? null : 1 - origin / served,
    requests,
    hit_ratio_requests: requests === 0 ? null : inTiers / requests,
    bad_answers: sum(({ bad_answers }) => bad_answers),
    sources,
    first_byte_ms: { p50: quantileMs(buckets, 0.5), p99: quantileMs(buckets, 0.99) },
    cost: costOf(replicas.flatMap(({ origins }) => origins)),
  };
}

/** The errors of all replicas by place and code, with what to do, the most of the last hour first. */
export function explainedErrors(replicas: readonly ReplicaFigures[]): ExplainedErrors {
  const byName = new Map<string, ErrorFigures>();
  for (const error of replicas.flatMap(({ errors }) => errors)) {
    const name = `${error.place} ${error.code}`;
    const known = byName.get(name);
    byName.set(name, {
      ...error,
      count: error.count + (known?.count ?? 0),
      last_hour: error.last_hour + (known?.last_hour ?? 0),
      last_ms: Math.max(error.last_ms, known?.last_ms ?? 0),
    });
  }
  return [...byName.values()]
    .sort((left, right) => right.last_hour - left.last_hour || right.count - left.count)
    .map((error) => {
      const known = Object.entries(errorTable).find(([code]) => code === error.code)?.[1];
      const { meaning, remedy, status } = known ?? { meaning: "", remedy: "", status: null };
      return { ...error, meaning, remedy, status };
    });
}

function sourcesOf(replicas: readonly ReplicaFigures[]): Record<string, SourceFigures> {
  const all = new Map<string, SourceFigures>();
  for (const [source, { bytes, requests }] of replicas.flatMap((each) => Object.entries(each.sources))) {
    const known = all.get(source);
    all.set(source, { bytes: bytes + (known?.bytes ?? 0), requests: requests + (known?.requests ?? 0) });
  }
  return Object.fromEntries(all);
}

/** By their bounds: those of another version may be others. */
function bucketsOf(replicas: readonly ReplicaFigures[]): LatencyBucket[] {
  const counts = new Map<number, number>();
  for (const { bound_ms: bound = Infinity, count } of replicas.flatMap(({ first_byte }) => first_byte)) {
    counts.set(bound, count + (counts.get(bound) ?? 0));
  }
  return [...counts]
    .sort(([left], [right]) => left - right)
    .map(([bound, count]) => ({ bound_ms: bound, count }));
}

function quantileMs(buckets: readonly LatencyBucket[], quantile: number): number | null {
  const total = buckets.reduce((sum, { count }) => sum + count, 0);
  if (total === 0) return null;
  let below = 0;
  const bucket = buckets.find(({ count }) => {
    below += count;
    return below >= quantile * total;
  });
  const bound = bucket?.bound_ms ?? Infinity;
  return bound === Infinity ? null : bound;
}

function costOf(origins: readonly OriginFigures[]): FigureTotals["cost"] {
  const priced = origins.filter(({ price_per_gb }) => price_per_gb > 0);
  if (priced.length === 0) return null;
  const costs = priced.map(({ served_bytes, origin_bytes, price_per_gb }) => ({
    fetched: (origin_bytes / bytesPerGb) * price_per_gb,
    saved: ((served_bytes - origin_bytes) / bytesPerGb) * price_per_gb,
  }));
  return {
    fetched: costs.reduce((sum, { fetched }) => sum + fetched, 0),
    saved: costs.reduce((sum, { saved }) => sum + saved, 0),
  };
}
