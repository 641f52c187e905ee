/** What `orca status` prints: the members that one replica knows, and its own share, bytes and work in progress. */
import { formatBytes } from "../base/units.ts";
import type { ClusterStatus } from "../ops/endpoints/cluster-status.ts";
import { counted, formatTable, printable } from "./table.ts";

type Later = "notices" | "threads";

/** A replica of an earlier version tells no notices and no threads. */
export type StatusAnswer = Omit<ClusterStatus, Later> & Partial<Pick<ClusterStatus, Later>>;

/** Several lines, with a line end after the last. `host` is the address that was called. */
export function statusReport(status: StatusAnswer, host: string): string {
  const { replica_id: replicaId, phase } = status;
  return `Replica ${printable(replicaId)} at ${host} answers (${printable(phase)}): ${summary(status)}

${membersTable(status)}

${sharesTable(status)}

${bytesTable(status)}

${work(status)}
${threadsLine(status)}${noticed(status)}`;
}

function summary({ members, peers }: StatusAnswer): string {
  if (peers === null) return "a cluster of one";
  const live = members.filter(({ state }) => state === "alive" || state === "suspect").length;
  return `${live} live of ${counted(members.length, "member")} in its view`;
}

function membersTable({ members }: StatusAnswer): string {
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

/** This replica's share of the requests that the cluster may send to each origin. */
function sharesTable({ origin_share: shares }: StatusAnswer): string {
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

function bytesTable({ bytes: { memory, disk } }: StatusAnswer): string {
  return formatTable(
    ["bytes", "used", "max"],
    [
      ["memory", formatBytes(memory.used), formatBytes(memory.max)],
      ["disk", disk ? formatBytes(disk.used) : "-", disk ? formatBytes(disk.max) : "-"],
    ],
  );
}

function work({ fills, peers }: StatusAnswer): string {
  const running = `${counted(fills.flights, "flight")} and ${counted(fills.relays, "relay")} in progress`;
  return peers === null ? running : `${running}; ${counted(peers.sessions_open, "session")} to peers open`;
}

function threadsLine({ threads = [] }: StatusAnswer): string {
  if (threads.length === 0) return "";
  const each = threads.map(({ thread, busy, connections }) => {
    const clients = connections === null ? "" : ` with ${counted(connections, "connection")}`;
    return `${printable(thread)} ${Math.round(100 * busy)}%${clients}`;
  });
  return `Threads, busy in the last 10 s: ${each.join(", ")}\n`;
}

/** The phase alone stands in the first line. */
function noticed({ notices = {}, phase }: StatusAnswer): string {
  const told = Object.entries(notices).filter(([, reason]) => reason !== phase);
  const lines = told.map(([name, reason]) => `  ${printable(`${name}: ${reason}`)}\n`);
  return lines.length === 0 ? "" : `\nNoticed:\n${lines.join("")}`;
}
