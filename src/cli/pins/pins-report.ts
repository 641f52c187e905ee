/** What `orca pins` prints, of one replica and of all. */
import { formatBytes } from "../../base/units.ts";
import type { ClusterPinsDocument } from "../../ops/pins/cluster-pins.ts";
import type { PinsDocument } from "../../ops/pins/pins-endpoint.ts";
import { counted, formatTable, printable } from "../table.ts";

/** Replicas of an object that are named; the others are counted. */
const namedReplicasMax = 4;

export function pinsReport({ replica_id: id, ...document }: PinsDocument): string {
  const { chunks, bytes, max_bytes: maxBytes, objects, objects_left_off: more } = document;
  const title = `Replica ${printable(id)} pins ${counted(chunks, "chunk")}, ${formatBytes(bytes)} of at most ${formatBytes(maxBytes)}\n`;
  if (objects.length === 0) return title;
  const rows = objects.map(({ url, chunks: count, bytes: size, until }) => [
    url,
    count,
    formatBytes(size),
    until,
  ]);
  const rest = more > 0 ? `and ${counted(more, "more object")}\n` : "";
  return `${title}\n${formatTable(["object", "chunks", "bytes", "until"], rows)}\n${rest}`;
}

export function clusterPinsReport(document: ClusterPinsDocument): string {
  const { replicas, unreachable, chunks, bytes, max_bytes: maxBytes, objects } = document;
  const answered = `${replicas.length} of ${counted(replicas.length + unreachable.length, "replica")}`;
  const title = `${answered}: ${counted(chunks, "chunk")} pinned, ${formatBytes(bytes)} of at most ${formatBytes(maxBytes)}\n`;
  const held = formatTable(
    ["replica", "chunks", "bytes", "at most"],
    replicas.map((each) => [
      each.replica_id,
      each.chunks,
      formatBytes(each.bytes),
      formatBytes(each.max_bytes),
    ]),
  );
  if (objects.length === 0) return `${title}\n${held}\n`;
  const rows = objects.map((object) => [
    object.url,
    object.chunks,
    formatBytes(object.bytes),
    object.until,
    holders(object.replicas),
  ]);
  const isCut = document.objects_left_off > 0 || replicas.some((each) => each.objects_left_off > 0);
  const rest = isCut ? "More objects have pins: these are the largest of each replica.\n" : "";
  return `${title}\n${held}\n\n${formatTable(["object", "chunks", "bytes", "until", "held by"], rows)}\n${rest}`;
}

export function unreachableReport({ unreachable }: ClusterPinsDocument): string {
  return unreachable
    .map(({ replica_id: id, reason }) => `No answer of replica ${printable(id)}: ${printable(reason)}\n`)
    .join("");
}

function holders(replicas: ClusterPinsDocument["objects"][number]["replicas"]): string {
  const named = replicas
    .slice(0, namedReplicasMax)
    .map(({ replica_id: id, bytes }) => `${id} ${formatBytes(bytes)}`);
  const more = replicas.length - named.length;
  return `${named.join(", ")}${more > 0 ? `, and ${more} more` : ""}`;
}
