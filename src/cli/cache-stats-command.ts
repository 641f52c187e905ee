/** `orca cache stats`: what one replica holds, by tier. The replica counts; this command shows the counts. */
import type { CacheDocument } from "../ops/endpoints/cache-stats.ts";
import { cacheReport } from "./cache-report.ts";
import type { CommandContext } from "./command-context.ts";
import {
  has,
  hasEach,
  type OpsCommandOptions,
  type OpsFlags,
  parseAnswer,
  readAnswer,
  withOps,
  withOpsOptions,
} from "./ops-call.ts";
import { OrcaCommand } from "./orca-command.ts";

export function cacheStatsCommand({ clock, stdout, stderr }: CommandContext): OrcaCommand {
  return withOpsOptions(new OrcaCommand("stats", "Show what a replica holds, by tier"))
    .withExamples("orca cache stats", "orca cache stats --ops http://cache-2.example.com:8442 --json")
    .runs((flags: OpsFlags) => cacheStats({ ...flags, clock, stdout, stderr }));
}

/**
 * Resolves with the exit code: 1 if no replica answers.
 * @throws OrcaError `invalid_argument` for an address that is not valid.
 */
export function cacheStats(options: OpsCommandOptions): Promise<number> {
  const call = { path: "/cache" };
  return withOps("get the stats from", call, options, async (url, deadline) => {
    const text = await readAnswer(url, call, deadline);
    const document = parseAnswer(text, isStats);
    options.stdout.write(options.json ? text : cacheReport(document, url.host));
    return 0;
  });
}

export function isScrub(value: unknown): value is Record<string, unknown> {
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
    }) && [value["last_finished"], value["next"]].every((time) => time === null || typeof time === "string")
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
        blocks: "number",
        pending_bytes: "number",
        blocks_read: "number",
        bytes_read: "number",
        stored: "number",
        not_stored: "number",
        damaged: "number",
        vanished: "number",
      }) &&
        has(value["disk"]["errors"], {}) &&
        (value["disk"]["scrub"] === null || isScrub(value["disk"]["scrub"])))) &&
    (value["cachestore"] === null ||
      has(value["cachestore"], {
        driver: "string",
        breaker: "string",
        hints: "number",
        hits: "number",
        misses: "number",
        stored: "number",
        not_stored: "number",
      })) &&
    hasEach(value["directories"], { origin: "string", objects: "number", hits: "number", misses: "number" })
  );
}
