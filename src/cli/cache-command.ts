/**
 * `orca cache stats`, `orca cache verify` and `orca cache clear`: what one replica holds, whether its disk holds it well,
 * and letting go of it. The replica does the work; here it is asked for and shown.
 */
import type { ClearDocument, VerifyDocument } from "../ops/endpoints/cache-endpoints.ts";
import type { CacheDocument } from "../ops/endpoints/cache-stats.ts";
import { cacheReport, clearReport, verifyReport } from "./cache-report.ts";
import {
  has,
  hasEach,
  type OpsCommandOptions,
  parseAnswer,
  readAnswer,
  readLines,
  withOps,
} from "./ops-call.ts";
import { Progress, type ProgressOutput } from "./progress.ts";

export interface CacheVerifyOptions extends OpsCommandOptions {
  /** Bytes a second; the replica's own choice where left out. */
  readonly rateBytes?: number | undefined;
  /** Where the bar is drawn. */
  readonly progress: ProgressOutput;
}

export interface CacheClearOptions extends OpsCommandOptions {
  /** `BUCKET` or `BUCKET/KEY-PREFIX`; everything where left out. */
  readonly prefix?: string | undefined;
  /** From the store that all replicas share, too. */
  readonly cachestore: boolean;
}

/** Footers of all chunks are read to find a prefix: on a hard disk, a hundred a second. */
const clearTimeoutMs = 3_600_000;
/** Between two lines; one comes twice a second. */
const lineTimeoutMs = 15_000;

/** Resolves with the exit code: 1 where no replica answers. @throws OrcaError `invalid_argument` (all of them). */
export function cacheStatsCommand(options: OpsCommandOptions): Promise<number> {
  const call = { path: "/cache" };
  return withOps("get the stats from", call, options, async (url, deadline) => {
    const text = await readAnswer(url, call, deadline);
    const document = parseAnswer(text, isStats);
    options.stdout.write(options.json ? text : cacheReport(document, url.host));
    return 0;
  });
}

/**
 * Resolves with the exit code when the scrub has ended: 0 also where bad chunks were found, since they are gone and come
 * back from the origin; 1 where it did not come to its end.
 */
export function cacheVerify(options: CacheVerifyOptions): Promise<number> {
  const { rateBytes, json, clock, stdout, stderr, progress } = options;
  const call = {
    path: "/cache/verify",
    action: "verify",
    query: rateBytes === undefined ? {} : { bytes_per_second: String(rateBytes) },
  };
  return withOps(
    "verify the cache of",
    call,
    { ...options, timeoutMs: options.timeoutMs ?? lineTimeoutMs },
    async (url, deadline) => {
      let bar: Progress | undefined;
      let last: VerifyDocument | undefined;
      for await (const line of readLines(url, call, deadline)) {
        last = parseAnswer(line, isVerify);
        if (json) {
          stdout.write(`${line}\n`);
          continue;
        }
        bar ??= new Progress({ label: "verify", totalBytes: last.total_bytes, output: progress, clock });
        bar.add(last.checked_bytes - bar.doneBytes);
      }
      bar?.finish();
      if (!last) throw new Error("it answers nothing");
      if (!json) stdout.write(verifyReport(last));
      if (last.state === "complete") return 0;
      if (json) stderr.write(verifyReport(last));
      return 1;
    },
  );
}

/** Resolves with the exit code: 1 where no replica answers, or it refuses. */
export function cacheClear(options: CacheClearOptions): Promise<number> {
  const { prefix, cachestore } = options;
  const call = {
    path: "/cache/clear",
    action: "clear",
    query: { ...(prefix !== undefined && { prefix }), ...(cachestore && { cachestore: "true" }) },
  };
  return withOps(
    "clear the cache of",
    call,
    { ...options, timeoutMs: options.timeoutMs ?? clearTimeoutMs },
    async (url, deadline) => {
      const text = await readAnswer(url, call, deadline);
      const document = parseAnswer(text, isCleared);
      options.stdout.write(options.json ? text : clearReport(document, prefix));
      return 0;
    },
  );
}

function isStats(value: unknown): value is CacheDocument {
  const tier = { chunks: "number", bytes: "number", max_bytes: "number", evictions: "number" } as const;
  return (
    has(value, { replica_id: "string" }) &&
    has(value["memory"], { ...tier, used_bytes: "number", hits: "number", misses: "number" }) &&
    (value["disk"] === null ||
      (has(value["disk"], {
        ...tier,
        pending_bytes: "number",
        blocks_read: "number",
        bytes_read: "number",
        stored: "number",
        refused: "number",
        damaged: "number",
        vanished: "number",
      }) &&
        has(value["disk"]["errors"], {}))) &&
    (value["cachestore"] === null ||
      has(value["cachestore"], {
        driver: "string",
        breaker: "string",
        hints: "number",
        hits: "number",
        misses: "number",
        stored: "number",
        refused: "number",
      })) &&
    hasEach(value["directories"], { origin: "string", objects: "number", hits: "number", misses: "number" })
  );
}

function isVerify(value: unknown): value is VerifyDocument {
  return (
    has(value, {
      state: "string",
      checked_chunks: "number",
      checked_bytes: "number",
      total_bytes: "number",
      bad_chunks: "number",
      skipped_chunks: "number",
      cursor: "string",
      reason: "string",
    }) && Array.isArray(value["not_covered"])
  );
}

function isCleared(value: unknown): value is ClearDocument {
  const cleared = { chunks: "number", bytes: "number" } as const;
  return (
    has(value, { objects: "number" }) &&
    has(value["memory"], cleared) &&
    (value["disk"] === null || has(value["disk"], cleared)) &&
    (value["cachestore"] === null || has(value["cachestore"], { chunks: "number" }))
  );
}
