/** What the cache commands print. Each function makes several lines of a document, with a line end after the last. */
import { formatBytes } from "../base/units.ts";
import type { ClearDocument, VerifyDocument } from "../ops/endpoints/cache-endpoints.ts";
import type { CacheDocument, ScrubDocument } from "../ops/endpoints/cache-stats.ts";
import { type Cell, counted, formatTable, printable } from "./table.ts";

export function cacheReport(document: CacheDocument, host: string): string {
  const notes = notesOf(document);
  return `Replica ${printable(document.replica_id)} at ${host}

${tiersTable(document)}
${bucketsTable(document)}
${formatTable(
  ["origin", "objects", "hits", "misses"],
  document.directories.map(({ origin, objects, hits, misses }) => [origin, objects, hits, misses]),
)}
${notes.length === 0 ? "" : `\n${notes.join("\n")}\n`}`;
}

function tiersTable({ memory, disk, cachestore }: CacheDocument): string {
  const rows: Cell[][] = [
    [
      "memory",
      memory.chunks,
      formatBytes(memory.bytes),
      formatBytes(memory.max_bytes),
      memory.hits,
      memory.misses,
      memory.evictions,
    ],
  ];
  if (disk) {
    rows.push([
      "disk",
      disk.chunks,
      formatBytes(disk.bytes),
      formatBytes(disk.max_bytes),
      "-",
      "-",
      disk.evictions,
    ]);
  }
  if (cachestore) rows.push(["cachestore", "-", "-", "-", cachestore.hits, cachestore.misses, "-"]);
  return formatTable(["tier", "chunks", "bytes", "max", "hits", "misses", "evictions"], rows);
}

/** Of the buckets that have a share of the disk, or a priority; empty without such a bucket. */
function bucketsTable({ disk }: CacheDocument): string {
  if (!disk || disk.buckets.length === 0) return "";
  const rows = disk.buckets.map(({ origin, bucket, bytes, share_bytes: share, priority }) => [
    `${printable(origin)}/${printable(bucket)}`,
    formatBytes(bytes),
    share === 0 ? "-" : formatBytes(share),
    printable(priority),
  ]);
  return `\n${formatTable(["bucket on disk", "bytes", "share", "priority"], rows)}\n`;
}

/** Counts that have no column in the table, and faults that a person should look at. */
function notesOf({ disk, cachestore }: CacheDocument): string[] {
  const notes: string[] = [];
  if (disk) {
    const { blocks_read: blocks, bytes_read: bytes, stored, not_stored: notStored } = disk;
    notes.push(
      `disk: ${counted(blocks, "block")} (${formatBytes(bytes)}) read, ${counted(stored, "chunk")} stored, ${notStored} not stored`,
    );
    if (disk.blocks > 0)
      notes.push(
        `disk: ${counted(disk.blocks, "block")} of chunks that are not whole, besides the chunks above`,
      );
    if (disk.damaged > 0) notes.push(`disk: ${counted(disk.damaged, "chunk")} found damaged and deleted`);
    if (disk.vanished > 0) notes.push(`disk: ${counted(disk.vanished, "file")} missing when read`);
    for (const [code, count] of Object.entries(disk.errors)) {
      notes.push(`disk: ${counted(count, "error")} ${printable(code)}, see the log`);
    }
    if (disk.scrub) notes.push(`scrub: ${scrubNote(disk.scrub)}`);
  }
  if (cachestore) {
    const { driver, breaker, hints, stored, not_stored: notStored } = cachestore;
    notes.push(
      `cachestore: ${printable(driver)}, breaker ${printable(breaker)}, ${counted(hints, "chunk")} expected in it, ${stored} stored, ${notStored} not stored`,
    );
  }
  return notes;
}

/** How far the scrub is, what it found, and when it last finished. */
function scrubNote(scrub: ScrubDocument): string {
  const { state, checked_bytes: checked, total_bytes: total, last_finished: last, next } = scrub;
  const share = total === 0 ? 100 : Math.min(100, Math.floor((100 * checked) / total));
  const progress = state === "complete" || state === "idle" ? "" : ` at ${share}%`;
  return [
    `${printable(state)}${progress}`,
    `${counted(scrub.bad_chunks, "bad chunk")} deleted`,
    last === null ? "never finished" : `last finished ${printable(last)}`,
    ...(next === null ? [] : [`next due ${printable(next)}`]),
  ].join(", ");
}

export function verifyReport(document: VerifyDocument): string {
  const { checked_chunks: chunks, checked_bytes: bytes, bad_chunks: bad, skipped_chunks: skipped } = document;
  const lines = [`Checked ${counted(chunks, "chunk")} (${formatBytes(bytes)}): ${badChunks(bad)}`];
  if (skipped > 0) {
    lines.push(
      `${counted(skipped, "chunk")} could not be read for want of file descriptors or memory; verify again.`,
    );
  }
  if (document.not_covered.includes("cachestore")) {
    lines.push("The cachestore was not looked through: its chunks are checked whenever they are read.");
  }
  if (document.state === "failed") lines.push(`It ended early: ${printable(document.reason)}`);
  if (document.state !== "complete")
    lines.push("It is not finished: the same command goes on where it stopped.");
  return `${lines.join("\n")}\n`;
}

function badChunks(bad: number): string {
  return bad === 0
    ? "all are right."
    : `${counted(bad, "bad one")}, deleted; the next read fetches them again.`;
}

export function clearReport(
  { objects, memory, disk, cachestore }: ClearDocument,
  prefix: string | undefined,
): string {
  const rows: Cell[][] = [["memory", memory.chunks, formatBytes(memory.bytes)]];
  if (disk) rows.push(["disk", disk.chunks, formatBytes(disk.bytes)]);
  if (cachestore) rows.push(["cachestore", cachestore.chunks, "-"]);
  const what = prefix === undefined ? "everything" : `"${printable(prefix)}"`;
  return `Cleared ${what} from this replica, and the metadata of ${counted(objects, "object")}

${formatTable(["tier", "chunks", "bytes"], rows)}
`;
}
