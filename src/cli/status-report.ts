/**
 * The status of a cluster as `orca status` prints it: whom one replica knows, and what it is doing itself. A string in
 * and a string out, like the tables it is made of.
 */
import { formatBytes } from "../base/units.ts";
import type { ClusterStatus } from "../ops/endpoints/cluster-status.ts";
import { counted } from "./counted.ts";
import { printable } from "./printable.ts";
import { formatTable } from "./table.ts";

/** Several lines, the last one ended. `host` is where the replica that answers was asked. */
export function statusReport(status: ClusterStatus, host: string): string {
  const { replica_id: replicaId, phase } = status;
  return `Replica ${printable(replicaId)} at ${host} answers (${printable(phase)}): ${summary(status)}

${membersTable(status)}

${sharesTable(status)}

${bytesTable(status)}

${work(status)}
`;
}

function summary({ members, peers }: ClusterStatus): string {
  if (peers === null) return "a cluster of one";
  const live = members.filter(({ state }) => state === "alive" || state === "suspect").length;
  return `${live} live of ${counted(members.length, "member")} in its view`;
}

function membersTable({ members }: ClusterStatus): string {
  return formatTable(
    ["replica", "state", "incarnation", "zone", "address", ""],
    members.map((member) => [
      member.replica_id,
      member.state,
      member.incarnation,
      member.zone || "-",
      member.address || "-",
      member.self ? "answers" : "",
    ]),
  );
}

/** This replica's share of what the cluster may ask of each origin. */
function sharesTable({ origin_share: shares }: ClusterStatus): string {
  return formatTable(
    ["origin", "share", "in flight", "waiting"],
    shares.map((share) => [
      share.origin,
      share.requests_max,
      share.requests_in_flight,
      share.requests_waiting,
    ]),
  );
}

function bytesTable({ bytes: { memory, disk } }: ClusterStatus): string {
  return formatTable(
    ["bytes", "used", "max"],
    [
      ["memory", formatBytes(memory.used), formatBytes(memory.max)],
      ["disk", disk ? formatBytes(disk.used) : "-", disk ? formatBytes(disk.max) : "-"],
    ],
  );
}

function work({ fills, peers }: ClusterStatus): string {
  const running = `${counted(fills.flights, "flight")} and ${counted(fills.relays, "relay")} in progress`;
  return peers === null ? running : `${running}; ${counted(peers.sessions_open, "session")} to peers open`;
}
