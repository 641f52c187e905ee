/**
 * `/cache` of the ops listener: what is in the tiers, a scrub of the disk, and letting go of what is cached. Names in
 * questions are those that clients use; what is asked for and not understood is refused, since a misspelt prefix that
 * were passed over would clear everything.
 */
import { type Clock, sleep } from "../../base/clock.ts";
import { OrcaError } from "../../base/orca-error.ts";
import { GiB, MiB } from "../../base/units.ts";
import type { ObjectPrefix } from "../../chunk/object-prefix.ts";
import type { Bucket } from "../../object/bucket.ts";
import {
  type Scrub,
  type ScrubProgress,
  type ScrubWatch,
  scrubBytesPerSecond,
} from "../../store/scrub/scrub.ts";
import { errorPage, jsonPage, type OpsEndpoint } from "../ops-endpoint.ts";
import type { CacheClear, ClearedCache } from "./cache-clear.ts";
import { type CacheStatsSource, cacheStats } from "./cache-stats.ts";

export interface CacheEndpointsOptions {
  readonly stats: CacheStatsSource;
  /** Undefined without a disk tier. */
  readonly scrub: Scrub | undefined;
  readonly clear: CacheClear;
  /** By the name that clients use. */
  readonly buckets: ReadonlyMap<string, Bucket>;
  readonly clock: Clock;
}

/** What `/cache/verify` tells, once or a line at a time. */
export interface VerifyDocument {
  readonly state: ScrubProgress["state"];
  readonly checked_chunks: number;
  readonly checked_bytes: number;
  readonly total_bytes: number;
  /** Found damaged, and let go of. */
  readonly bad_chunks: number;
  /** Could not be read for a reason that says nothing about them. */
  readonly skipped_chunks: number;
  readonly cursor: string;
  /** Why it has failed; empty where it has not. */
  readonly reason: string;
  /** Tiers that are there and are not looked through: their chunks are checked when they are read. */
  readonly not_covered: readonly string[];
}

/** The answer of `/cache/clear`. */
export type ClearDocument = ClearedCache;

const progressIntervalMs = 500;
const bytesPerSecondMax = 10 * GiB;

export function cacheEndpoints(options: CacheEndpointsOptions): [string, OpsEndpoint][] {
  const { stats } = options;
  return [
    [
      "/cache",
      {
        help: 'what is in each tier, as JSON; "orca cache stats" prints it',
        methods: ["GET"],
        answer: async () => jsonPage(200, cacheStats(stats)),
      },
    ],
    ["/cache/verify", verifyEndpoint(options)],
    ["/cache/clear", clearEndpoint(options)],
  ];
}

function verifyEndpoint({ scrub, clock, stats }: CacheEndpointsOptions): OpsEndpoint {
  const notCovered = stats.cachestore ? ["memory", "cachestore"] : ["memory"];
  return {
    help: 'GET: how far the scrub of the disk has come; POST: goes on with it; "orca cache verify" does',
    action: "verify",
    methods: ["GET", "POST"],
    answer: async ({ method, query, signal }) => {
      if (!scrub)
        return errorPage(409, "there is no disk tier here (disk.root), so there is nothing to verify");
      if (method === "GET") return jsonPage(200, verifyDocument(scrub.progress, notCovered));
      const bytesPerSecond = numberOf(query, "bytes_per_second", scrubBytesPerSecond);
      // Before the first line, so that a refusal is the answer.
      const watch = await scrub.watch(bytesPerSecond);
      signal.addEventListener("abort", () => watch.leave(), { once: true });
      if (signal.aborted) watch.leave();
      return { documents: verifying(scrub, watch, notCovered, clock) };
    },
  };
}

/** Progress while the scrub runs, and once more when it has ended. Whoever stops listening stops watching. */
async function* verifying(
  scrub: Scrub,
  watch: ScrubWatch,
  notCovered: readonly string[],
  clock: Clock,
): AsyncGenerator<VerifyDocument> {
  const waiting = new AbortController();
  void watch.ended.finally(() => waiting.abort());
  try {
    while (!waiting.signal.aborted) {
      yield verifyDocument(scrub.progress, notCovered);
      await sleep(clock, progressIntervalMs, waiting.signal).catch(() => undefined);
    }
    yield verifyDocument(scrub.progress, notCovered);
  } finally {
    watch.leave();
    waiting.abort();
  }
}

function verifyDocument(progress: ScrubProgress, notCovered: readonly string[]): VerifyDocument {
  return {
    state: progress.state,
    checked_chunks: progress.checkedChunks,
    checked_bytes: progress.checkedBytes,
    total_bytes: progress.totalBytes,
    bad_chunks: progress.badChunks,
    skipped_chunks: progress.skippedChunks,
    cursor: progress.cursor,
    reason: progress.reason,
    not_covered: notCovered,
  };
}

function clearEndpoint({ clear, buckets }: CacheEndpointsOptions): OpsEndpoint {
  return {
    help: 'POST: lets go of what is cached, all or ?prefix=BUCKET/KEY-PREFIX; "orca cache clear" does',
    action: "clear",
    methods: ["POST"],
    answer: async ({ query, signal }) => {
      allowOnly(query, ["prefix", "cachestore"]);
      const prefix = query.get("prefix");
      const cachestore = query.get("cachestore") ?? "false";
      if (cachestore !== "true" && cachestore !== "false") {
        throw invalid(`cachestore is "${cachestore}", expected true or false`);
      }
      const place = prefix === null ? undefined : placeOf(prefix, buckets);
      return jsonPage(200, (await clear.clear(place, cachestore === "true", signal)) satisfies ClearDocument);
    },
  };
}

/** `BUCKET` or `BUCKET/KEY-PREFIX`, in clients' names. @throws OrcaError. */
function placeOf(prefix: string, buckets: ReadonlyMap<string, Bucket>): ObjectPrefix {
  const slashAt = prefix.indexOf("/");
  const name = slashAt < 0 ? prefix : prefix.slice(0, slashAt);
  const bucket = bucketNamed(name, buckets);
  const { bucket: originBucket, key } = bucket.locate(slashAt < 0 ? "" : prefix.slice(slashAt + 1));
  return { originId: bucket.directory.originId, bucket: originBucket, keyPrefix: key };
}

/** @throws OrcaError `no_such_bucket`. */
export function bucketNamed(name: string, buckets: ReadonlyMap<string, Bucket>): Bucket {
  const bucket = buckets.get(name);
  if (bucket) return bucket;
  const names = [...buckets.keys()].join(", ");
  throw new OrcaError("no_such_bucket", "client", `Cannot find bucket "${name}": served here are ${names}`);
}

/** @throws OrcaError `invalid_argument`. */
export function allowOnly(query: URLSearchParams, names: readonly string[]): void {
  for (const name of query.keys()) {
    if (!names.includes(name)) throw invalid(`"${name}" is not known here, expected ${names.join(" or ")}`);
    if (query.getAll(name).length > 1) throw invalid(`${name} is given twice`);
  }
}

function numberOf(query: URLSearchParams, name: string, fallback: number): number {
  allowOnly(query, [name]);
  const text = query.get(name);
  if (text === null) return fallback;
  const value = /^\d{1,15}$/.test(text) ? Number(text) : 0;
  if (value < MiB || value > bytesPerSecondMax) {
    throw invalid(`${name} is "${text}", expected ${MiB} to ${bytesPerSecondMax}`);
  }
  return value;
}

function invalid(reason: string): OrcaError {
  return new OrcaError("invalid_argument", "client", `Cannot do what was asked: ${reason}`);
}
