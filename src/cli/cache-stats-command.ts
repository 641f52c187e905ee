/** `orca cache stats`: what one replica holds, by tier. The replica counts; here it is asked for and shown. */
import type { CacheDocument } from "../ops/endpoints/cache-stats.ts";
import { cacheReport } from "./cache-report.ts";
import { has, hasEach, type OpsCommandOptions, parseAnswer, readAnswer, withOps } from "./ops-call.ts";

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
