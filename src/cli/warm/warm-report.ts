/** What `orca warm` prints when a warm-up has ended. */
import { formatBytes, formatDuration } from "../../base/units.ts";
import type { WarmDocument } from "../../ops/warm/warm-document.ts";
import { counted, formatTable, printable } from "../table.ts";

/** What a command that goes on must repeat. */
export interface WarmRepeated {
  readonly manifest?: string | undefined;
  readonly rateBytes?: number | undefined;
  readonly pinMs?: number | undefined;
  readonly dryRun: boolean;
}

export function warmReport(document: WarmDocument): string {
  const { source, objects, bytes, held, filled, missing, verified, unpinned, dry_run: isDryRun } = document;
  const title = `${printable(source)}: ${counted(objects, "object")}, ${formatBytes(bytes)}`;
  const rows = isDryRun
    ? [
        ["held", held.chunks, formatBytes(held.bytes)],
        ["to fetch", missing.chunks, formatBytes(missing.bytes)],
      ]
    : [
        ["held before", held.chunks, formatBytes(held.bytes)],
        ["fetched", filled.chunks, formatBytes(filled.bytes)],
        ["verified", verified.chunks, formatBytes(verified.bytes)],
        ["missing", missing.chunks, formatBytes(missing.bytes)],
        ...(unpinned.chunks > 0 ? [["not pinned", unpinned.chunks, formatBytes(unpinned.bytes)]] : []),
      ];
  const end =
    document.state === "complete" && objects > 0 && !isDryRun
      ? "\nEvery chunk is held where it should be.\n"
      : "";
  return `${title}\n\n${formatTable(["", "chunks", "bytes"], rows)}\n${end}`;
}

/** Why it is not complete, and what to do; undefined if it is. */
export function warmFault(document: WarmDocument, repeated: WarmRepeated): string | undefined {
  const { state, objects, source, missing, unpinned, missing_chunks: named, reason } = document;
  if (state === "failed")
    return `The warm-up failed: ${printable(reason ?? "unknown")}\n${resumeHint(document, repeated)}`;
  if (objects === 0) return `No object there: ${printable(source)} names none.\n`;
  if (state !== "incomplete") return undefined;
  const rows = named.map(({ url, chunk, reason: why }) => [url, chunk ?? "all", why]);
  const more = missing.chunks + unpinned.chunks - named.length;
  const rest = more > 0 ? `and ${counted(more, "more chunk")}\n` : "";
  // An object without chunks could not be read at all: its reason says why.
  const question = named.some(({ chunk }) => chunk !== null) ? "Is disk.max_bytes large enough? " : "";
  const advice =
    missing.chunks > 0
      ? `${question}The same command fetches again what is missing, and skips what is held.\n`
      : "Every chunk is held, but these may be evicted. Release others with orca unpin, or raise disk.pin_share.\n";
  const counts = [
    ...(missing.chunks > 0 ? [`${counted(missing.chunks, "chunk")} not held`] : []),
    ...(unpinned.chunks > 0 ? [`${counted(unpinned.chunks, "chunk")} not pinned`] : []),
  ];
  return `${counts.join(", ")}:\n${formatTable(["object", "chunk", "reason"], rows)}\n${rest}${advice}`;
}

/** Where a warm-up goes on when its replica stops, and how to see it there. */
export function handedOnHint(
  { run_id: runId }: WarmDocument,
  { replica_id: id, ops }: NonNullable<WarmDocument["continued"]>,
): string {
  const command = `orca warm --follow ${printable(runId)} --ops ${printable(ops)}`;
  return `The replica stops. Replica ${printable(id)} goes on; to follow it:\n  ${command}\n`;
}

export function resumeHint({ id }: WarmDocument, repeated: WarmRepeated): string {
  const { manifest, rateBytes, pinMs, dryRun } = repeated;
  const file = manifest === undefined ? "" : ` --manifest ${manifest}`;
  const rate = rateBytes === undefined ? "" : ` --rate ${rateBytes}B`;
  const pin = pinMs === undefined ? "" : ` --pin ${formatDuration(pinMs)}`;
  const options = `${file}${rate}${pin}${dryRun ? " --dry-run" : ""}`;
  return `${dryRun ? "" : "What was fetched stays. "}To go on:\n  orca warm --resume ${id}${options}\n`;
}
