/** `orca purge`: makes all replicas forget objects. One replica asks the others; this command shows what each did. */
import { Option } from "commander";
import { formatBytes } from "../../base/units.ts";
import type { PurgeDocument, PurgedDocument } from "../../ops/purge/cluster-purge.ts";
import type { CommandContext } from "../command-context.ts";
import { prefixOf } from "../object-url.ts";
import {
  has,
  type OpsCommandOptions,
  type OpsFlags,
  parseAnswer,
  readLines,
  withOps,
  withOpsOptions,
} from "../ops-call.ts";
import { OrcaCommand } from "../orca-command.ts";
import { type Cell, counted, formatTable, printable } from "../table.ts";

interface PurgeFlags extends OpsFlags {
  readonly match: "key" | "prefix";
  readonly stale: boolean;
  readonly cachestore: boolean;
}

export function purgeCommand({ clock, stdout, stderr }: CommandContext): OrcaCommand {
  const command = new OrcaCommand("purge", "Make all replicas forget objects, their metadata and their bytes")
    .details(
      "The next read asks the origin again. The exit code is 1 if a replica did not do it; then run it again. What is " +
        "read while it runs may stay.",
    )
    .argument("<URL>", "The objects, as s3://BUCKET/PREFIX: all whose keys begin with PREFIX")
    .addOption(
      new Option(
        "--match <WHAT>",
        "Purge the object whose whole key is PREFIX (key), or all whose keys begin with it (prefix)",
      )
        .choices(["key", "prefix"])
        .default("prefix"),
    )
    .option(
      "--stale",
      "Forget metadata only: chunks are used again where the origin has no newer version",
      false,
    )
    .option("--cachestore", "Delete chunks in the cachestore, too", false);
  return withOpsOptions(command)
    .withExamples(
      "orca purge s3://models/llama/ --stale",
      "orca purge s3://models/llama/weights.bin --match key",
      "orca purge s3://models/llama/ --cachestore --ops http://cache-2.example.com:8442",
    )
    .runs((flags: PurgeFlags, url: string) => purge({ ...flags, url, clock, stdout, stderr }));
}

export interface PurgeOptions extends OpsCommandOptions {
  /** `s3://BUCKET/PREFIX`. */
  readonly url: string;
  /** Ends pins alone, and forgets nothing. */
  readonly unpins?: boolean;
  readonly match: "key" | "prefix";
  readonly stale: boolean;
  readonly cachestore: boolean;
}

/** Between two lines; one comes each second. */
const lineTimeoutMs = 15_000;

/**
 * Resolves with the exit code: 0 if every replica did it.
 * @throws OrcaError `invalid_argument` for a URL that is not valid.
 */
export async function purge(options: PurgeOptions): Promise<number> {
  const { url: place, unpins = false, match, stale, cachestore, json, stdout, stderr } = options;
  const action = unpins ? "unpin" : "purge";
  const query = {
    prefix: prefixOf(action, place),
    ...(match === "key" && { match }),
    ...(stale && { stale: "true" }),
    ...(cachestore && { cachestore: "true" }),
  };
  const call = { path: `/cache/${action}`, action, query };
  const timeoutMs = options.timeoutMs ?? lineTimeoutMs;
  return withOps(`${action} at`, call, { ...options, timeoutMs }, async (url, deadline) => {
    const purged: PurgedDocument[] = [];
    let last: PurgeDocument | undefined;
    for await (const line of readLines(url, call, deadline)) {
      if (json) stdout.write(`${line}\n`);
      const document = parseAnswer(line, isLine);
      if ("state" in document) last = document;
      else purged.push(document);
    }
    if (!last || last.state === "purging") throw new Error(`it ended before the ${action} had`);
    if (!json) stdout.write((unpins ? unpinReport : purgeReport)(place, purged, last));
    if (last.state === "complete") return 0;
    stderr.write(purgeFault(action, purged, last));
    return 1;
  });
}

function purgeReport(
  place: string,
  purged: readonly PurgedDocument[],
  { replicas, unanswered, cachestore }: PurgeDocument,
): string {
  const done = `${replicas - unanswered} of ${counted(replicas, "replica")}`;
  const rows = purged
    .toSorted((left, right) => left.replica_id.localeCompare(right.replica_id))
    .map(({ replica_id: id, objects, memory, disk, reason }): Cell[] =>
      reason === null ? [id, objects ?? "-", sizeOf(memory), sizeOf(disk)] : [id, "-", "-", "-"],
    );
  const table = formatTable(["replica", "objects", "memory", "disk"], rows);
  const store =
    cachestore &&
    `\nCachestore: ${counted(cachestore.chunks, "chunk")} of ${counted(cachestore.objects, "object")} at the origin\n`;
  return `Purged ${printable(place)} from ${done}\n\n${table}\n${store ?? ""}`;
}

function unpinReport(
  place: string,
  purged: readonly PurgedDocument[],
  { replicas, unanswered }: PurgeDocument,
): string {
  const rows = purged
    .toSorted((left, right) => left.replica_id.localeCompare(right.replica_id))
    .map(({ replica_id: id, disk }): Cell[] => [id, disk?.chunks ?? "-", sizeOf(disk)]);
  const done = `${replicas - unanswered} of ${counted(replicas, "replica")}`;
  return `Unpinned ${printable(place)} at ${done}\n\n${formatTable(["replica", "chunks", "bytes"], rows)}\n`;
}

function sizeOf(chunks: PurgedDocument["memory"]): string {
  return chunks ? formatBytes(chunks.bytes) : "-";
}

function purgeFault(
  action: string,
  purged: readonly PurgedDocument[],
  { reason, cachestore }: PurgeDocument,
): string {
  const lines = purged
    .filter((each) => each.reason !== null)
    .map(
      ({ replica_id: id, reason: why }) =>
        `Not ${action === "unpin" ? "unpinned" : "purged"}: replica ${printable(id)}: ${printable(why ?? "")}`,
    );
  if (reason !== null) lines.push(printable(reason));
  else if (cachestore && cachestore.failed > 0)
    lines.push(`The cachestore did not delete ${counted(cachestore.failed, "chunk")}, see the log.`);
  return `${lines.join("\n")}\nRun it again: what is done already stays done.\n`;
}

function isLine(value: unknown): value is PurgeDocument | PurgedDocument {
  if (has(value, { state: "string", replicas: "number", unanswered: "number" })) return true;
  return (
    has(value, { replica_id: "string", self: "boolean", reason: "object" }) ||
    has(value, { replica_id: "string", reason: "string" })
  );
}
