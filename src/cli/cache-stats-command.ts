/**
 * `orca cache stats`: what one replica holds, by tier, or with `--cluster` what all replicas hold, served and saved. The
 * replicas count; this command shows the counts.
 */
import type { CacheDocument } from "../ops/endpoints/cache-stats.ts";
import { cacheReport } from "./cache-report.ts";
import type { CommandContext } from "./command-context.ts";
import { figuresCall, readFigures } from "./figures/figures-answer.ts";
import { clusterStatsReport } from "./figures/figures-report.ts";
import {
  has,
  hasEach,
  type OpsCommandOptions,
  type OpsFlags,
  showAnswer,
  withOps,
  withOpsOptions,
} from "./ops-call.ts";
import { OrcaCommand } from "./orca-command.ts";

export function cacheStatsCommand({ clock, stdout, stderr }: CommandContext): OrcaCommand {
  const command = new OrcaCommand("stats", "Show what a replica holds, by tier").option(
    "--cluster",
    "Show all replicas: totals, hit ratios, bytes saved, tiers and hot objects",
    false,
  );
  return withOpsOptions(command)
    .withExamples(
      "orca cache stats",
      "orca cache stats --cluster",
      "orca cache stats --ops http://cache-2.example.com:8442 --json",
    )
    .runs(({ cluster, ...flags }: StatsFlags) =>
      (cluster ? clusterStats : cacheStats)({ ...flags, clock, stdout, stderr }),
    );
}

interface StatsFlags extends OpsFlags {
  readonly cluster: boolean;
}

/** Resolves with the exit code: 1 if no replica answers, or a live one is in none of the figures. */
function clusterStats(options: OpsCommandOptions): Promise<number> {
  return withOps("get the figures from", figuresCall, options, async (url, deadline) => {
    const { text, document } = await readFigures(url, deadline);
    options.stdout.write(options.json ? text : clusterStatsReport(document, url.host));
    return document.unreachable.length === 0 ? 0 : 1;
  });
}

/**
 * Resolves with the exit code: 1 if no replica answers.
 * @throws OrcaError `invalid_argument` for an address that is not valid.
 */
export function cacheStats(options: OpsCommandOptions): Promise<number> {
  const shown = { isExpected: isStats, report: cacheReport };
  return showAnswer("get the stats from", { path: "/cache" }, options, shown);
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
