/** `orca explain URL`: which way a read of an object would go now, and why. One replica asks the others. */
import { OrcaError } from "../../base/orca-error.ts";
import { MiB } from "../../base/units.ts";
import type { ExplainDocument } from "../../ops/endpoints/explain/explain-endpoint.ts";
import type { CommandContext } from "../command-context.ts";
import { objectOf } from "../object-url.ts";
import {
  has,
  hasEach,
  type OpsCommandOptions,
  type OpsFlags,
  showAnswer,
  withOpsOptions,
} from "../ops-call.ts";
import { OrcaCommand } from "../orca-command.ts";
import { explainReport } from "./explain-report.ts";

interface ExplainFlags extends OpsFlags {
  readonly range?: string;
}

export function explainCommand({ clock, stdout, stderr }: CommandContext): OrcaCommand {
  const command = new OrcaCommand("explain", "Show which way a read of an object would go now, and why");
  command
    .details("Changes nothing, and does not ask the origin.")
    .argument("<URL>", "The object, as s3://BUCKET/KEY")
    .option(
      "--range <A-B>",
      "Explain bytes A to B, both included, or A- for all from A on [the whole object]",
    );
  return withOpsOptions(command)
    .withExamples(
      "orca explain s3://models/llama/weights.bin",
      "orca explain s3://models/llama/weights.bin --range 0-8388607",
      "orca explain s3://models/llama/weights.bin --ops http://cache-2.example.com:8442 --json",
    )
    .runs((flags: ExplainFlags, url: string) => explain({ ...flags, url, clock, stdout, stderr }));
}

export interface ExplainOptions extends OpsCommandOptions {
  /** `s3://bucket/key`, as clients name the object. */
  readonly url: string;
  readonly range?: string | undefined;
}

/** The coordinator and all members are asked, one after the other, within 3 s each. */
const explainTimeoutMs = 15_000;
/** A way takes about 500 bytes, and 65,536 blocks have at most as many. */
const answerBytesMax = 64 * MiB;

/**
 * Resolves with the exit code: 1 if the replica does not answer.
 * @throws OrcaError `invalid_argument` for a URL other than `s3://bucket/key`, a range, or an address that is not valid.
 */
export async function explain(options: ExplainOptions): Promise<number> {
  const { url: object, range } = options;
  const { bucket, key } = objectOf("explain", object);
  if (range !== undefined && !/^\d+-\d*$/.test(range))
    throw new OrcaError(
      "invalid_argument",
      "config",
      `Cannot explain the range "${range}": expected bytes as 0-1048575, or 1048576- for all from there on`,
    );
  const call = { path: "/explain", query: { bucket, key, ...(range !== undefined && { range }) } };
  return showAnswer(`explain ${object} at`, call, options, {
    isExpected: isExplained,
    report: explainReport,
    timeoutMs: explainTimeoutMs,
    answerBytesMax,
  });
}

function isExplained(value: unknown): value is ExplainDocument {
  if (
    !has(value, { bucket: "string", key: "string", origin: "string", replica_id: "string", first: "number" })
  )
    return false;
  const { metadata, ways, origin_now: originNow, silent } = value;
  return (
    has(metadata, { state: "string", origin_request: "string", why: "string", coordinator: "string" }) &&
    hasEach(ways, {
      first: "number",
      last: "number",
      chunks: "string",
      from: "string",
      at: "string",
      why: "string",
    }) &&
    hasEach(originNow, {
      replica_id: "string",
      in_flight: "number",
      in_flight_max: "number",
      waiting: "number",
    }) &&
    Array.isArray(silent) &&
    silent.every((each) => typeof each === "string")
  );
}
