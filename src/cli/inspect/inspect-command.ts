/** `orca inspect URL`: where the chunks of an object are, by replica and tier. One replica asks the others. */
import { MiB } from "../../base/units.ts";
import type { InspectDocument } from "../../ops/endpoints/inspect-endpoint.ts";
import type { CommandContext } from "../command-context.ts";
import { objectOf } from "../object-url.ts";
import { has, type OpsCommandOptions, type OpsFlags, showAnswer, withOpsOptions } from "../ops-call.ts";
import { OrcaCommand } from "../orca-command.ts";
import { inspectReport } from "./inspect-report.ts";

export function inspectCommand({ clock, stdout, stderr }: CommandContext): OrcaCommand {
  return withOpsOptions(
    new OrcaCommand("inspect", "Show where the chunks of an object are, by replica and tier"),
  )
    .argument("<URL>", "The object, as s3://BUCKET/KEY")
    .withExamples(
      "orca inspect s3://models/llama/weights.bin",
      "orca inspect s3://models/llama/weights.bin --ops http://cache-2.example.com:8442",
      "orca inspect s3://models/llama/weights.bin --json",
    )
    .runs((flags: OpsFlags, url: string) =>
      inspect({ ...flags, url, columns: stdout.columns, clock, stdout, stderr }),
    );
}

export interface InspectOptions extends OpsCommandOptions {
  /** `s3://bucket/key`, as clients name the object. */
  readonly url: string;
  /** The width of the terminal, if there is one. */
  readonly columns?: number | undefined;
}

/** Enough to ask the origin for the object, and every replica for 100,000 chunks. */
const inspectTimeoutMs = 60_000;
/** The ranges of 100,000 chunks take up to 600 KB for each tier of a replica. */
const answerBytesMax = 64 * MiB;

/**
 * Resolves with the exit code: 1 if no replica answers, or the object does not exist.
 * @throws OrcaError `invalid_argument` for a URL other than `s3://bucket/key`, and for an address that is not valid.
 */
export async function inspect(options: InspectOptions): Promise<number> {
  const call = { path: "/inspect", query: objectOf("inspect", options.url) };
  return showAnswer(`inspect ${options.url} at`, call, options, {
    isExpected: isInspected,
    report: (document) => inspectReport(document, options.columns),
    timeoutMs: inspectTimeoutMs,
    answerBytesMax,
  });
}

function isInspected(value: unknown): value is InspectDocument {
  return (
    has(value, {
      bucket: "string",
      key: "string",
      origin: "string",
      size: "number",
      etag: "string",
      chunk_size: "number",
      chunks: "number",
    }) &&
    Array.isArray(value["replicas"]) &&
    value["replicas"].every(isHoldings)
  );
}

function isHoldings(value: unknown): boolean {
  if (!has(value, { replica_id: "string", self: "boolean", coordinates: "string" })) return false;
  if (value["reason"] !== null) return typeof value["reason"] === "string";
  if (!["string", "undefined"].includes(typeof value["partial"])) return false;
  return ["memory", "disk", "flight", "cachestore"].every((tier) => typeof value[tier] === "string");
}
