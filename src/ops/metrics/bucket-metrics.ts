/** Metrics of `origin.buckets: {"*"}`: what the origin was asked about buckets. No label names a bucket, because clients do. */
import type { OtherBuckets } from "../../object/buckets.ts";
import type { MetricsRegistry } from "./metrics.ts";

/** Only where an origin has `"*"`. */
export interface BucketParts {
  readonly originId: string;
  readonly open: Pick<OtherBuckets["open"], "size" | "bytes" | "stats">;
  readonly lists: Pick<OtherBuckets["lists"], "bytes" | "stats">;
}

export function registerBucketMetrics(
  metrics: MetricsRegistry,
  { originId: origin, open, lists }: BucketParts,
): void {
  metrics.gauge(
    "orca_open_buckets",
    {
      meaning:
        'Names of buckets about which the origin\'s answer is known, absent ones included. Only with "*" in origin.buckets.',
      watch:
        "At 20000 the least recently used are forgotten, and each costs a question when it is named again.",
    },
    () => [{ labels: { origin }, value: open.size }],
  );
  metrics.gauge(
    "orca_open_buckets_bytes",
    { meaning: "Memory that they take, estimated from above.", watch: "At most 16 MiB." },
    () => [{ labels: { origin }, value: open.bytes }],
  );
  metrics.counter(
    "orca_bucket_questions_total",
    {
      meaning:
        'Questions about a bucket by their outcome: present, absent, denied (objects may be readable still), failed. Only with "*" in origin.buckets.',
      watch: "Many that are absent: a client names buckets that do not exist.",
    },
    function* () {
      for (const result of ["present", "absent", "denied", "failed"] as const)
        yield { labels: { origin, result }, value: open.stats[result] };
    },
  );
  metrics.counter(
    "orca_bucket_lists_total",
    {
      meaning:
        'Look-ups of an origin\'s list of buckets, by result: hit, miss (the origin was asked), join (it was being asked). Only with "*" in origin.buckets.',
      watch: "The smaller the part of miss, the better.",
    },
    function* () {
      yield { labels: { origin, result: "hit" }, value: lists.stats.hits };
      yield { labels: { origin, result: "miss" }, value: lists.stats.misses };
      yield { labels: { origin, result: "join" }, value: lists.stats.joins };
    },
  );
  metrics.gauge(
    "orca_bucket_lists_bytes",
    {
      meaning:
        "Memory of these lists, estimated from above. With server.auth.authorize: origin, one for each key.",
      watch: "At most 8 MiB.",
    },
    () => [{ labels: { origin }, value: lists.bytes }],
  );
}
