/**
 * What `orca inspect` prints: for each replica the chunks it coordinates, and the chunks it holds. Chunks that lie in the
 * same tiers share a line, so that `memory, disk  64  0-63` is one line rather than 64.
 */
import { formatBytes } from "../../base/units.ts";
import { ChunkRanges } from "../../chunk/chunk-ranges.ts";
import { type TierName, tierBits } from "../../fill/inspection/cache-peers.ts";
import type { InspectDocument, ReplicaHoldings } from "../../ops/endpoints/inspect-endpoint.ts";
import { type Cell, counted, formatTable, printable } from "../table.ts";

/** Longer lists of ranges are cut where they do not fit the terminal. `--json` prints them whole. */
const rangesLengthMin = 40;

const tierNames = Object.keys(tierBits) as TierName[];

/** `partial` is no tier: it says that memory and disk hold only a part. */
const tierWords: Readonly<Record<Exclude<TierName, "partial">, string>> = {
  memory: "memory",
  disk: "disk",
  flight: "in flight",
  cachestore: "cachestore",
};

const partWords: Readonly<Partial<Record<TierName, string>>> = {
  memory: "part in memory",
  disk: "part on disk",
};

/** Several lines, with a line end after the last. `columns`: the width of the terminal, if there is one. */
export function inspectReport(document: InspectDocument, columns = 80): string {
  const whole = reportOf(document, Number.POSITIVE_INFINITY);
  if (widthOf(whole) <= columns) return whole;
  const short = reportOf(document, rangesLengthMin);
  // Two columns of the table have ranges.
  const spare = Math.max(0, Math.floor((columns - widthOf(short)) / 2));
  return spare === 0 ? short : reportOf(document, rangesLengthMin + spare);
}

function widthOf(report: string): number {
  return Math.max(...report.split("\n").map((line) => line.length));
}

function reportOf(document: InspectDocument, rangesLengthMax: number): string {
  const cut = (ranges: string): string => cutTo(rangesLengthMax, ranges);
  const { bucket, key, size, etag, chunks, chunk_size: chunkSize, origin, replicas } = document;
  const held = replicas.map((replica) => heldBy(replica, chunks));
  const silent = replicas.filter(({ reason }) => reason !== null);
  return `s3://${printable(bucket)}/${printable(key)}
${formatBytes(size)} in ${counted(chunks, "chunk")} of ${formatBytes(chunkSize)}, ETag ${printable(etag)}, origin ${printable(origin)}

${formatTable(
  ["replica", "coordinates", "tiers", "count", "chunks"],
  replicas.flatMap((replica, index) => rowsOf(replica, held[index], cut)),
)}

${nowhere(held, chunks, silent.length, cut)}
${onlyInPart(held, chunks, cut)}${silent.map(({ reason }) => `${printable(reason ?? "")}\n`).join("")}`;
}

/** One byte of tier bits for each chunk, as on the mesh; undefined for a replica that did not answer. */
function heldBy(replica: ReplicaHoldings, chunks: number): Uint8Array | undefined {
  if (replica.reason !== null) return undefined;
  const tiers = new Uint8Array(chunks);
  for (const name of tierNames) {
    for (const index of indexesIn(replica[name] ?? "", chunks))
      tiers[index] = (tiers[index] ?? 0) | tierBits[name];
  }
  return tiers;
}

/** One row for each set of tiers that holds a chunk, the set of the highest bit first. */
function rowsOf(
  { replica_id: replicaId, self, coordinates }: ReplicaHoldings,
  held: Uint8Array | undefined,
  cut: Cut,
): Cell[][] {
  const sets = new Map<number, ChunkRanges>();
  for (const [index, bits] of (held ?? []).entries()) {
    if (bits === 0) continue;
    const ranges = sets.get(bits) ?? new ChunkRanges();
    ranges.add(index);
    sets.set(bits, ranges);
  }
  const rows: Cell[][] = [...sets]
    .sort(([left], [right]) => right - left)
    .map(([bits, ranges]) => ["", "", tiersIn(bits), ranges.count, cut(ranges.toString())]);
  const [first = ["", "", held ? "nothing" : "no answer", "", ""]] = rows;
  first[0] = self ? `${replicaId} (answers)` : replicaId;
  first[1] = cut(coordinates) || "-";
  return [first, ...rows.slice(1)];
}

function tiersIn(bits: number): string {
  const words: string[] = [];
  for (const name of tierNames) {
    if (name === "partial" || (bits & tierBits[name]) === 0) continue;
    const isPart = (bits & tierBits.partial) !== 0;
    words.push((isPart && partWords[name]) || tierWords[name]);
  }
  return words.join(", ");
}

/** Whether a replica with these bits holds all of a chunk, or expects the cachestore to. */
function isWhole(bits: number): boolean {
  if ((bits & tierBits.cachestore) !== 0) return true;
  return (bits & (tierBits.memory | tierBits.disk)) !== 0 && (bits & tierBits.partial) === 0;
}

/** The chunks of which replicas hold blocks, and no replica the whole. */
function onlyInPart(held: readonly (Uint8Array | undefined)[], chunks: number, cut: Cut): string {
  const parts = new ChunkRanges();
  for (let index = 0; index < chunks; index += 1) {
    const bits = held.map((tiers) => tiers?.[index] ?? 0);
    if (bits.some((of) => (of & tierBits.partial) !== 0) && !bits.some(isWhole)) parts.add(index);
  }
  if (parts.count === 0) return "";
  return `Held only in part: ${counted(parts.count, "chunk")}: ${cut(parts.toString())}\n`;
}

function nowhere(
  held: readonly (Uint8Array | undefined)[],
  chunks: number,
  silent: number,
  cut: Cut,
): string {
  const missing = new ChunkRanges();
  for (let index = 0; index < chunks; index += 1) {
    if (!held.some((tiers) => (tiers?.[index] ?? 0) !== 0)) missing.add(index);
  }
  const caveat = silent > 0 ? ` (${counted(silent, "replica")} did not answer)` : "";
  if (missing.count === 0) return "Every chunk is held somewhere.";
  return `Held nowhere${caveat}: ${counted(missing.count, "chunk")}: ${cut(missing.toString())}`;
}

type Cut = (ranges: string) => string;

function cutTo(lengthMax: number, ranges: string): string {
  if (ranges.length <= lengthMax) return ranges;
  return `${ranges.slice(0, ranges.lastIndexOf(",", lengthMax) + 1)}...`;
}

/** The indexes in `0-63,70` that are below `chunks`. */
function* indexesIn(ranges: string, chunks: number): Generator<number> {
  for (const range of ranges === "" ? [] : ranges.split(",")) {
    const [first = 0, last = first] = range.split("-").map(Number);
    for (let index = first; index <= last && index < chunks; index += 1) yield index;
  }
}
