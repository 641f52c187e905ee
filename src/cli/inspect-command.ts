/** `orca inspect s3://bucket/key`: where the chunks of an object lie, by replica and tier, as one replica finds out. */
import { OrcaError } from "../base/orca-error.ts";
import { MiB } from "../base/units.ts";
import type { InspectDocument } from "../ops/endpoints/inspect-endpoint.ts";
import { inspectReport } from "./inspect-report.ts";
import { has, type OpsCommandOptions, parseAnswer, readAnswer, withOps } from "./ops-call.ts";

export interface InspectOptions extends OpsCommandOptions {
  /** `s3://bucket/key`, as clients name it. */
  readonly url: string;
}

/** The object may have to be looked up at its origin, and 100,000 chunks on every replica. */
const inspectTimeoutMs = 60_000;
/** The ranges of 100,000 chunks take up to 600 KB for each tier of a replica. */
const answerBytesMax = 64 * MiB;

/**
 * Resolves with the exit code: 1 where no replica answers, or there is no such object.
 * @throws OrcaError `invalid_argument` for what is no `s3://bucket/key`, or no address.
 */
export async function inspect(options: InspectOptions): Promise<number> {
  const call = { path: "/inspect", query: objectOf(options.url) };
  const timeoutMs = options.timeoutMs ?? inspectTimeoutMs;
  return withOps(`inspect ${options.url} at`, call, { ...options, timeoutMs }, async (url, deadline) => {
    const text = await readAnswer(url, call, deadline, answerBytesMax);
    const document = parseAnswer(text, isInspected);
    options.stdout.write(options.json ? text : inspectReport(document));
    return 0;
  });
}

/** A key is taken as it stands, a percent sign or a question mark included: as `aws s3` does. */
function objectOf(url: string): { readonly bucket: string; readonly key: string } {
  const match = /^s3:\/\/([^/]+)\/(.+)$/s.exec(url);
  if (match) return { bucket: match[1] as string, key: match[2] as string };
  throw new OrcaError("invalid_argument", "config", `Cannot inspect "${url}": expected s3://BUCKET/KEY`);
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
  return ["memory", "disk", "flight", "cachestore"].every((tier) => typeof value[tier] === "string");
}
