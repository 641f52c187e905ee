/** What `orca explain` prints: the metadata, then a line for each way that bytes would come, and the origin's permits. */
import { formatBytes } from "../../base/units.ts";
import type {
  ExplainDocument,
  MetadataDocument,
  OriginNowDocument,
  WayDocument,
} from "../../ops/endpoints/explain/explain-endpoint.ts";
import { counted, formatTable, printable } from "../table.ts";

/** More ways are for `--json`: a person asks about a shorter range. */
const waysMax = 100;

/** Several lines, with a line end after the last. */
export function explainReport(document: ExplainDocument): string {
  const { bucket, key, replica_id: replicaId, size, etag, origin, metadata, ways, silent } = document;
  const what =
    size === null ? "Nothing is known of it" : `${formatBytes(size)}, ETag ${printable(etag ?? "")}`;
  const parts = [
    `s3://${printable(bucket)}/${printable(key)}`,
    `${what}, origin ${printable(origin)}. A client of ${printable(replicaId)} that asks now:`,
    "",
    `Metadata: ${printable(metadata.why)}.`,
    requestLine(metadata),
    "",
    bytesOf(document),
  ];
  if (ways.length > 0) parts.push("", ...reasonsOf(ways));
  parts.push("", ...originLines(document), ...silent.map(printable));
  return `${parts.join("\n")}\n`;
}

function requestLine({ origin_request: request }: MetadataDocument): string {
  if (request === "none") return "Metadata costs the origin no request.";
  if (request === "unknown") return "Whether the origin is asked for it is unknown.";
  return `The first request to the origin is a ${request}.`;
}

function bytesOf({ ways, metadata, size, first }: ExplainDocument): string {
  if (metadata.error !== null) return `The client gets the error ${printable(metadata.error)}, and no bytes.`;
  if (size === null)
    return "Where its bytes lie depends on its version, which no replica that was asked knows.";
  if (ways.length === 0) return size === 0 ? "It is empty." : `It ends before byte ${first}.`;
  const assumed = metadata.state === "fresh" ? "" : "If the object has not changed:\n";
  const shown = ways.slice(0, waysMax);
  const table = formatTable(
    ["bytes", "size", "chunks", "come from", "why"],
    shown.map((way) => [
      `${way.first}-${way.last}`,
      formatBytes(way.last - way.first + 1),
      way.chunks,
      placeOf(way),
      `(${numberOf(way, shown)})`,
    ]),
  );
  const more = ways.length - shown.length;
  const rest = more > 0 ? `\n${counted(more, "more way")}; give a --range, or --json` : "";
  return `${assumed}${table}${rest}`;
}

const places: Readonly<Record<WayDocument["from"], string>> = {
  memory: "memory of",
  flight: "a flight of",
  disk: "disk of",
  cachestore: "cachestore, by",
  copy: "a copy on",
  origin: "origin, by",
  unknown: "unknown, by",
};

function placeOf({ from, at }: WayDocument): string {
  return `${places[from] ?? from} ${at}`;
}

/** Each reason once: a column of them would be too wide for a terminal. */
function reasonsIn(ways: readonly WayDocument[]): string[] {
  return [...new Set(ways.map(reasonOf))];
}

function reasonOf({ why, at, copies }: WayDocument): string {
  const others = copies.filter((replica) => replica !== at);
  return others.length > 0 ? `${why}. Also held by ${others.join(", ")}.` : `${why}.`;
}

function numberOf(way: WayDocument, ways: readonly WayDocument[]): number {
  return reasonsIn(ways).indexOf(reasonOf(way)) + 1;
}

function reasonsOf(ways: readonly WayDocument[]): string[] {
  return reasonsIn(ways.slice(0, waysMax)).map(
    (reason, index) => `(${index + 1}) ${printable(capital(reason))}`,
  );
}

function capital(text: string): string {
  return text.slice(0, 1).toUpperCase() + text.slice(1);
}

/** Of the replicas that would ask the origin, or else of the one that answers. */
function originLines({
  ways,
  origin_now: now,
  origin,
  replica_id: self,
  metadata,
}: ExplainDocument): string[] {
  const asking = new Set(ways.filter(({ from }) => from === "origin").map(({ at }) => at));
  if (metadata.origin_request === "GET" || metadata.origin_request === "HEAD")
    asking.add(metadata.coordinator);
  if (asking.size === 0) asking.add(self);
  return now.filter(({ replica_id: id }) => asking.has(id)).map((each) => originLine(origin, each));
}

function originLine(origin: string, now: OriginNowDocument): string {
  const { replica_id: id, in_flight: inFlight, in_flight_max: max, waiting, throttled_to: throttledTo } = now;
  const permits = `${inFlight} of ${max} permits of ${printable(id)} are in use, and ${counted(waiting, "request")} wait`;
  const throttle =
    throttledTo === null
      ? "it does not throttle"
      : `it throttles, so at most ${counted(throttledTo, "request")} may be in flight`;
  return `Origin ${printable(origin)}: ${permits}; ${throttle}.`;
}
