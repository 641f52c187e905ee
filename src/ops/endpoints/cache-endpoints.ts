/**
 * `/cache` of the ops listener: what the tiers hold, the scrub of the disk, and clearing the cache. Requests use the names
 * of buckets and keys that clients use. A parameter that is not understood is an error: if a misspelt `prefix` were
 * ignored, the clear would delete everything.
 */
import { type Clock, sleep } from "../../base/clock.ts";
import { OrcaError } from "../../base/orca-error.ts";
import { formatBytes, GiB, MiB } from "../../base/units.ts";
import type { ObjectPrefix } from "../../chunk/object-prefix.ts";
import type { Bucket } from "../../object/bucket.ts";
import type { Buckets } from "../../object/buckets.ts";
import type { Scrub } from "../../store/scrub/scrub.ts";
import { errorPage, jsonPage, type OpsEndpoint } from "../ops-endpoint.ts";
import type { CacheClear, ClearedCache } from "./cache-clear.ts";
import { type CacheStatsSource, cacheStats, type ScrubDocument, scrubDocument } from "./cache-stats.ts";
import { splitPlace } from "./place-query.ts";

export interface CacheEndpointsOptions {
  readonly stats: CacheStatsSource;
  /** Undefined without a disk tier. */
  readonly scrub: Scrub | undefined;
  readonly clear: CacheClear;
  readonly buckets: Buckets;
  readonly clock: Clock;
}

/** What `/cache/verify` answers: once to a GET, a line at a time to a POST. */
export interface VerifyDocument extends ScrubDocument {
  /** Tiers that the scrub does not read: their chunks are checked on each read. */
  readonly not_covered: readonly string[];
}

/** The answer of `/cache/clear`. */
export type ClearDocument = ClearedCache;

const progressIntervalMs = 500;
const bytesPerSecondMax = 10 * GiB;

export function cacheEndpoints(options: CacheEndpointsOptions): OpsEndpoint[] {
  const { stats } = options;
  return [
    {
      method: "GET",
      path: "/cache",
      help: 'what each tier holds, as JSON; "orca cache stats" prints it',
      answer: async () => jsonPage(200, cacheStats(stats)),
    },
    ...verifyEndpoints(options),
    clearEndpoint(options),
  ];
}

function verifyEndpoints({ scrub, clock, stats }: CacheEndpointsOptions): OpsEndpoint[] {
  const notCovered = stats.cachestore ? ["memory", "cachestore"] : ["memory"];
  const path = "/cache/verify";
  const noDisk = errorPage(409, "Cannot verify the cache: there is no disk tier (disk.root)");
  return [
    {
      method: "GET",
      path,
      help: "the progress of the scrub, which reads and checks the whole disk, as JSON",
      answer: async () => (scrub ? jsonPage(200, verifyDocument(scrub, notCovered)) : noDisk),
    },
    {
      method: "POST",
      path,
      action: "verify",
      help: 'starts the scrub, or joins it, and follows its progress; "orca cache verify" does it',
      answer: async ({ query, signal }) => {
        if (!scrub) return noDisk;
        // Before the first line, so that an error is the answer.
        const ended = scrub.verify(bytesPerSecondOf(query));
        return { documents: following(scrub, ended, notCovered, clock, signal) };
      },
    },
  ];
}

/** The progress until the pass ends, and once more then. The pass goes on when the client disconnects. */
async function* following(
  scrub: Scrub,
  ended: Promise<void>,
  notCovered: readonly string[],
  clock: Clock,
  signal: AbortSignal,
): AsyncGenerator<VerifyDocument> {
  const waiting = new AbortController();
  void ended.then(() => waiting.abort());
  const stop = AbortSignal.any([waiting.signal, signal]);
  while (!stop.aborted) {
    yield verifyDocument(scrub, notCovered);
    await sleep(clock, progressIntervalMs, stop).catch(() => undefined);
  }
  yield verifyDocument(scrub, notCovered);
}

function verifyDocument({ progress }: Scrub, notCovered: readonly string[]): VerifyDocument {
  return { ...scrubDocument(progress), not_covered: notCovered };
}

function clearEndpoint({ clear, buckets }: CacheEndpointsOptions): OpsEndpoint {
  return {
    method: "POST",
    path: "/cache/clear",
    action: "clear",
    help: 'deletes cached chunks: all, or ?prefix=BUCKET/KEY-PREFIX; "orca cache clear" does it',
    answer: async ({ query, signal }) => {
      allowOnly(query, ["prefix", "cachestore", "match"]);
      const prefix = query.get("prefix");
      const cachestore = query.get("cachestore") ?? "false";
      if (cachestore !== "true" && cachestore !== "false") {
        throw invalid(`cachestore is "${cachestore}", expected true or false`);
      }
      const place = prefix === null ? undefined : { ...placeOf(prefix, buckets), match: matchOf(query) };
      return jsonPage(200, (await clear.clear(place, cachestore === "true", signal)) satisfies ClearDocument);
    },
  };
}

function matchOf(query: URLSearchParams): ObjectPrefix["match"] {
  const match = query.get("match");
  if (match === null || match === "key" || match === "prefix") return match ?? undefined;
  throw invalid(`match is "${match}", expected key or prefix`);
}

/** `prefix` is `BUCKET` or `BUCKET/KEY-PREFIX`, in the names that clients use. @throws OrcaError. */
function placeOf(prefix: string, buckets: Buckets): ObjectPrefix {
  const { bucket: name, key: keyPrefix } = splitPlace(prefix);
  const bucket = bucketNamed(name, buckets);
  const { bucket: originBucket, key } = bucket.locate(keyPrefix);
  return { originId: bucket.directory.originId, bucket: originBucket, keyPrefix: key };
}

/** The object of `?bucket=BUCKET&key=KEY`. @throws OrcaError `invalid_argument`, `no_such_bucket`; why it cannot be asked for. */
export function objectNamed(
  query: URLSearchParams,
  buckets: Buckets,
): { readonly bucketName: string; readonly key: string; readonly bucket: Bucket } {
  const [bucketName, key] = [query.get("bucket") ?? "", query.get("key") ?? ""];
  if (bucketName === "" || key === "") throw invalid("it names no object, expected ?bucket=BUCKET&key=KEY");
  const bucket = bucketNamed(bucketName, buckets);
  const fault = bucket.faultOf(key);
  if (fault) throw fault;
  return { bucketName, key, bucket };
}

/** @throws OrcaError `no_such_bucket`. */
export function bucketNamed(name: string, buckets: Buckets): Bucket {
  const bucket = buckets.named(name);
  if (bucket) return bucket;
  const names = buckets.names.join(", ");
  throw new OrcaError("no_such_bucket", "client", `Cannot find bucket "${name}": served here are ${names}`);
}

/** @throws OrcaError `invalid_argument`. */
export function allowOnly(query: URLSearchParams, names: readonly string[]): void {
  for (const name of query.keys()) {
    if (!names.includes(name)) throw invalid(`"${name}" is not known here, expected ${names.join(" or ")}`);
    if (query.getAll(name).length > 1) throw invalid(`${name} is given twice`);
  }
}

/** @throws OrcaError `invalid_argument`. */
function bytesPerSecondOf(query: URLSearchParams): number | undefined {
  const name = "bytes_per_second";
  allowOnly(query, [name]);
  const text = query.get(name);
  if (text === null) return undefined;
  const value = /^\d{1,15}$/.test(text) ? Number(text) : 0;
  if (value < MiB || value > bytesPerSecondMax) {
    throw invalid(
      `${name} is "${text}", expected ${MiB} (1 MiB) to ${bytesPerSecondMax} (${formatBytes(bytesPerSecondMax)})`,
    );
  }
  return value;
}

function invalid(reason: string): OrcaError {
  return new OrcaError("invalid_argument", "client", `Cannot answer this request: ${reason}`);
}
