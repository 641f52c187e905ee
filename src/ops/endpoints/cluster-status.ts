/**
 * `/cluster` of the ops listener: what one replica knows of its cluster. It is that replica's view; others may have
 * another one. It is read from memory at the moment of the request. The field names are a format: they stay, and new
 * ones may come.
 *
 *     {
 *       "replica_id": "orca-0",                    the replica that answers
 *       "address": "10.0.0.7:8444",                where peers reach it; empty in a cluster of one
 *       "zone": "eu-1a",                           empty without zones
 *       "phase": "serving",                        starting, serving or draining
 *       "members": [                               by replica id, this replica and the dead included
 *         { "replica_id": "orca-0", "address": "10.0.0.7:8444", "zone": "eu-1a",
 *           "state": "alive",                      alive, suspect, dead or left
 *           "incarnation": 1767225600000, "self": true }
 *       ],
 *       "origin_share": [                          this replica's part of origin.target_global
 *         { "origin": "weights", "requests_max": 64, "requests_in_flight": 3, "requests_waiting": 0 }
 *       ],
 *       "bytes": { "memory": { "used": 1048576, "max": 1073741824 },
 *                  "disk": { "used": 0, "max": 10737418240 } },        null without a disk tier
 *       "fills": { "flights": 1, "relays": 2 },    in progress: from origin, cachestore or disk; from peers
 *       "peers": { "known": 2, "sessions_open": 4, "sessions_dead": 0, "connect_failures": 0,
 *                  "requests_while_down": 0 },     null in a cluster of one; the last three are totals
 *       "threads": [                               the main thread, and with server.threads above 1 those that serve clients
 *         { "thread": "main", "busy": 0.03,        the part of the last 5 to 10 s in which its event loop did not wait
 *           "connections": null },                 of clients; null for the main thread where others serve them
 *         { "thread": "orca-edge-1", "busy": 0.97, "connections": 64 }
 *       ],
 *       "notices": { "disk": "..." }               what /readyz says that is not ok
 *     }
 */
import type { MemoryBudget } from "../../base/memory-budget.ts";
import type { Filler } from "../../fill/filler.ts";
import type { Relay } from "../../fill/relay.ts";
import type { Member, MemberState } from "../../membership/member.ts";
import type { Membership } from "../../membership/membership.ts";
import type { GuardedOrigin } from "../../origin/guarded-origin.ts";
import type { DiskTier } from "../../store/disk/disk-tier.ts";
import type { PeersCounters } from "../metrics/mesh-metrics.ts";
import { jsonPage, type OpsEndpoint } from "../ops-endpoint.ts";
import { type Phase, type Readiness, troubleIn } from "../readiness.ts";
import type { ThreadLoad, ThreadLoads } from "../thread-loads.ts";

/** The parts of a replica that the status reads. */
export interface ClusterStatusSource {
  readonly replicaId: string;
  /** Empty without zones. */
  readonly zone: string;
  readonly origins: readonly Pick<
    GuardedOrigin,
    "id" | "requestsInFlight" | "requestsInFlightMax" | "requestsWaiting"
  >[];
  readonly budget: Pick<MemoryBudget, "usedBytes" | "maxBytes">;
  readonly disk: Pick<DiskTier, "usedBytes" | "maxBytes"> | undefined;
  readonly filler: Pick<Filler, "flightsInProgress">;
  /** Undefined in a cluster of one, as are the next two. */
  readonly relay: Pick<Relay, "flightsInProgress"> | undefined;
  readonly membership: Pick<Membership, "self" | "members"> | undefined;
  readonly peers: Pick<PeersCounters, "size" | "stats"> | undefined;
  readonly threads: Pick<ThreadLoads, "read">;
}

export interface MemberStatus {
  readonly replica_id: string;
  readonly address: string;
  readonly zone: string;
  readonly state: MemberState;
  readonly incarnation: number;
  readonly self: boolean;
}

interface OriginShareStatus {
  readonly origin: string;
  readonly requests_max: number;
  readonly requests_in_flight: number;
  readonly requests_waiting: number;
}

interface BytesStatus {
  readonly used: number;
  readonly max: number;
}

interface PeersStatus {
  readonly known: number;
  readonly sessions_open: number;
  readonly sessions_dead: number;
  readonly connect_failures: number;
  readonly requests_while_down: number;
}

export interface ThreadStatus {
  readonly thread: string;
  readonly busy: number;
  readonly connections: number | null;
}

/** The document above. */
export interface ClusterStatus {
  readonly replica_id: string;
  readonly address: string;
  readonly zone: string;
  readonly phase: Phase;
  readonly members: readonly MemberStatus[];
  readonly origin_share: readonly OriginShareStatus[];
  readonly bytes: { readonly memory: BytesStatus; readonly disk: BytesStatus | null };
  readonly fills: { readonly flights: number; readonly relays: number };
  readonly peers: PeersStatus | null;
  readonly threads: readonly ThreadStatus[];
  readonly notices: Readonly<Record<string, string>>;
}

export function clusterEndpoint(source: ClusterStatusSource, readiness: Readiness): OpsEndpoint {
  return {
    method: "GET",
    path: "/cluster",
    help: 'what this replica knows of its cluster, as JSON; "orca status" prints it',
    answer: async () => jsonPage(200, clusterStatus(source, readiness.phase, troubleIn(readiness.report()))),
  };
}

export function clusterStatus(
  source: ClusterStatusSource,
  phase: Phase,
  notices: Readonly<Record<string, string>> = {},
): ClusterStatus {
  const { replicaId, zone, membership, budget, disk, filler, relay, peers } = source;
  return {
    replica_id: replicaId,
    address: membership?.self.address ?? "",
    zone,
    phase,
    members: membersStatus(source),
    origin_share: source.origins.map((origin) => ({
      origin: origin.id,
      requests_max: origin.requestsInFlightMax,
      requests_in_flight: origin.requestsInFlight,
      requests_waiting: origin.requestsWaiting,
    })),
    bytes: { memory: bytesStatus(budget), disk: disk ? bytesStatus(disk) : null },
    fills: { flights: filler.flightsInProgress, relays: relay?.flightsInProgress ?? 0 },
    peers: peers ? peersStatus(peers) : null,
    threads: source.threads.read().map(threadStatus),
    notices,
  };
}

function byId(left: Member, right: Member): number {
  return left.replicaId < right.replicaId ? -1 : 1;
}

function membersStatus({ membership, replicaId, zone }: ClusterStatusSource): MemberStatus[] {
  if (!membership) {
    return [{ replica_id: replicaId, address: "", zone, state: "alive", incarnation: 0, self: true }];
  }
  return membership
    .members()
    .sort(byId)
    .map((member) => ({
      replica_id: member.replicaId,
      address: member.address,
      zone: member.zone,
      state: member.state,
      incarnation: member.incarnation,
      self: member.replicaId === replicaId,
    }));
}

function bytesStatus({ usedBytes, maxBytes }: { usedBytes: number; maxBytes: number }): BytesStatus {
  return { used: usedBytes, max: maxBytes };
}

function threadStatus({ name, busyPart, connections }: ThreadLoad): ThreadStatus {
  return { thread: name, busy: Math.round(busyPart * 1000) / 1000, connections: connections ?? null };
}

function peersStatus({ size, stats }: Pick<PeersCounters, "size" | "stats">): PeersStatus {
  return {
    known: size,
    sessions_open: stats.sessionsOpen,
    sessions_dead: stats.sessionsDead,
    connect_failures: stats.connectFailures,
    requests_while_down: stats.requestsWhileDown,
  };
}
