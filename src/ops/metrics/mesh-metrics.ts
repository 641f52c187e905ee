/**
 * The metrics of a replica that has peers: the membership, the mesh both ways, and what comes and goes over it. As in
 * replica-metrics.ts, parts count for themselves; those of the mesh, which this layer does not know, are seen by the
 * shape of their numbers alone.
 */
import type { ChunkServer } from "../../fill/chunk-server.ts";
import type { Relay } from "../../fill/relay.ts";
import type { Coordination } from "../../membership/coordination.ts";
import { memberStates } from "../../membership/member.ts";
import type { Membership } from "../../membership/membership.ts";
import type { ObjectServer } from "../../object/object-server.ts";
import type { LabelledValue, MetricsRegistry } from "./metrics.ts";
import type { TlsCounters } from "./replica-metrics.ts";

/** Numbers by name. The name is a label, so the names are few and fixed. */
type Counts = Readonly<Record<string, number>>;

interface SessionCounters {
  readonly sessions: number;
  readonly sessionsOpen: number;
  readonly sessionsDead: number;
}

/** Where peers connect. */
export interface MeshServerCounters {
  readonly stats: SessionCounters & {
    readonly sessionsBroken: number;
    readonly connectionsDropped: number;
    readonly requests: number;
  };
  readonly refusals: { readonly counts: Counts };
}

/** The sessions to peers. */
export interface PeersCounters {
  readonly size: number;
  readonly stats: SessionCounters & {
    readonly connectFailures: number;
    readonly requestsWhileDown: number;
    readonly streams: number;
  };
  readonly refusals: { readonly counts: Counts };
}

/** Chunks that peers ask for. */
export interface FillServerCounters {
  readonly stats: {
    readonly requests: number;
    readonly malformed: number;
    readonly failed: number;
    readonly sentBytes: number;
  };
}

/** Chunks that peers are asked for: beside these two, the requests by how they ended. */
export interface FillClientCounters {
  readonly stats: Counts & { readonly requests: number; readonly receivedBytes: number };
}

/** Calls with one answer: `calls`, and those among them that failed, by why. */
export interface CallCounters {
  readonly stats: Counts & { readonly calls: number };
}

export interface MeshParts {
  readonly membership: Pick<Membership, "members" | "stats" | "healthScore">;
  readonly coordination: Pick<Coordination, "stats">;
  readonly server: MeshServerCounters;
  readonly peers: PeersCounters;
  /** Undefined for a mesh without TLS. */
  readonly tls: TlsCounters | undefined;
  readonly fillServer: FillServerCounters;
  readonly fillClient: FillClientCounters;
  readonly relay: Pick<Relay, "stats" | "flightsInProgress">;
  /** Calls to peers, by service: `membership`, `object`. */
  readonly calls: Readonly<Record<string, CallCounters>>;
  /** Calls of peers, of all services. */
  readonly callsServed: CallCounters;
  readonly chunkServer: Pick<ChunkServer, "stats">;
  readonly objectServer: Pick<ObjectServer, "stats">;
}

/** The share of `target_global` is `orca_origin_requests_max`, which every replica has. */
export function registerMeshMetrics(metrics: MetricsRegistry, parts: MeshParts): void {
  registerMembers(metrics, parts.membership);
  registerMessages(metrics, parts.membership);
  registerCoordination(metrics, parts.coordination);
  registerSessions(metrics, parts);
  if (parts.tls) registerTls(metrics, parts.tls);
  registerFillChunk(metrics, parts);
  registerRelay(metrics, parts.relay);
  registerCalls(metrics, parts);
  registerAnswers(metrics, parts);
}

function registerMembers(metrics: MetricsRegistry, membership: MeshParts["membership"]): void {
  const { table, stalls, discovery } = membership.stats;
  metrics.gauge("orca_members", "Replicas in this one's view, itself included, by state.", () => {
    const counts = Object.fromEntries(memberStates.map((state) => [state, 0]));
    for (const { state } of membership.members()) counts[state] = (counts[state] ?? 0) + 1;
    return labelled("state", counts);
  });
  metrics.counter("orca_member_changes_total", "Changes in the view of other replicas.", () =>
    labelled("change", {
      joined: table.joins,
      suspected: table.suspicions,
      died: table.deaths,
      left: table.leaves,
      revived: table.revivals,
    }),
  );
  metrics.counter(
    "orca_member_refutations_total",
    "Times this replica had to say that it is alive, or what its address is.",
    () => table.refutations,
  );
  metrics.counter(
    "orca_member_id_conflicts_total",
    "Times another replica was met that has this one's id.",
    () => table.idConflicts,
  );
  metrics.gauge(
    "orca_membership_health_score",
    "How unwell this replica takes itself to be: 0 is well, 7 the worst.",
    () => membership.healthScore,
  );
  metrics.counter(
    "orca_membership_stalls_total",
    "Times this process stood still for so long that silence of others was no sign.",
    () => stalls.stalls,
  );
  metrics.counter(
    "orca_membership_stalled_seconds_total",
    "How long it stood still in all.",
    () => stalls.stalledMs / 1000,
  );
  metrics.counter(
    "orca_membership_lookups_failed_total",
    "Look-ups of cluster.service that brought nothing.",
    () => discovery.lookupsFailed,
  );
}

function registerMessages(metrics: MetricsRegistry, membership: MeshParts["membership"]): void {
  const { messenger, detector, rumors, table } = membership.stats;
  metrics.counter("orca_membership_messages_total", "Messages sent to other replicas, by kind.", () =>
    labelled("kind", {
      ping: messenger.pings,
      ping_indirect: messenger.indirectPings,
      sync: messenger.syncs,
    }),
  );
  metrics.counter(
    "orca_membership_messages_failed_total",
    "Messages that were not answered in time, or not by whom they were meant for.",
    () => labelled("kind", { ping: messenger.pingsFailed, sync: messenger.syncsFailed }),
  );
  metrics.counter(
    "orca_membership_probes_failed_total",
    "Members that answered neither this replica nor any that it asked to try.",
    () => detector.probesFailed,
  );
  metrics.counter("orca_membership_refused_total", "What others sent and was not believed, by why.", () =>
    labelled("reason", {
      mismatch: messenger.refusedMismatch,
      malformed: messenger.refusedMalformed,
      flood: messenger.refusedFlood,
      other_target: messenger.refusedTarget,
      foreign_member: table.refusedForeign,
      view_full: table.refusedFull,
    }),
  );
  metrics.counter("orca_membership_rumors_total", "News of objects and chunks, by what became of it.", () =>
    labelled("event", {
      published: rumors.published,
      heard: rumors.heard,
      repeated: rumors.repeated,
      oversize: rumors.oversize,
      dropped: membership.stats.rumorsDropped,
    }),
  );
  metrics.counter(
    "orca_membership_changes_dropped_total",
    "Changes of members that gave way before they had been passed on often enough.",
    () => membership.stats.changesDropped,
  );
}

function registerCoordination(metrics: MetricsRegistry, { stats }: MeshParts["coordination"]): void {
  metrics.counter(
    "orca_coordination_failures_total",
    "Requests to a coordinator that could not be reached, broke off or fell silent.",
    () => stats.failures,
  );
  metrics.counter(
    "orca_coordination_avoided_total",
    "Times a coordinator was passed over because it had failed a moment ago.",
    () => stats.avoided,
  );
  metrics.counter(
    "orca_coordination_disagreements_total",
    "Times an asked replica held another one for the coordinator.",
    () => stats.disagreements,
  );
}

function registerSessions(metrics: MetricsRegistry, { server, peers }: MeshParts): void {
  const bySide = (read: (side: SessionCounters) => number) => (): LabelledValue[] =>
    labelled("side", { server: read(server.stats), client: read(peers.stats) });
  metrics.gauge("orca_mesh_peers", "Replicas this one has sessions to.", () => peers.size);
  metrics.gauge(
    "orca_mesh_sessions_open",
    "Sessions that are open: made by peers (server) and to them (client).",
    bySide(({ sessionsOpen }) => sessionsOpen),
  );
  metrics.counter(
    "orca_mesh_sessions_total",
    "Sessions that were made.",
    bySide(({ sessions }) => sessions),
  );
  metrics.counter(
    "orca_mesh_sessions_dead_total",
    "Sessions ended because the other end did not answer pings.",
    bySide(({ sessionsDead }) => sessionsDead),
  );
  metrics.counter(
    "orca_mesh_sessions_broken_total",
    "Sessions of peers ended by a fault of the protocol.",
    () => server.stats.sessionsBroken,
  );
  metrics.counter(
    "orca_mesh_refusals_total",
    "Connections that came to nothing, by why.",
    function* (): Generator<LabelledValue> {
      for (const [side, { refusals }] of Object.entries({ server, client: peers })) {
        for (const [reason, value] of Object.entries(refusals.counts))
          yield { labels: { side, reason }, value };
      }
    },
  );
  metrics.counter(
    "orca_mesh_connections_dropped_total",
    "Connections closed unanswered over the limit.",
    () => server.stats.connectionsDropped,
  );
  metrics.counter(
    "orca_mesh_connect_failures_total",
    "Attempts to reach a peer that failed.",
    () => peers.stats.connectFailures,
  );
  metrics.counter(
    "orca_mesh_requests_while_down_total",
    "Requests given up at once because their peer was out of reach a moment ago.",
    () => peers.stats.requestsWhileDown,
  );
  metrics.counter("orca_mesh_requests_total", "Requests, of peers (server) and to them (client).", () =>
    labelled("side", { server: server.stats.requests, client: peers.stats.streams }),
  );
}

function registerTls(metrics: MetricsRegistry, tls: TlsCounters): void {
  metrics.gauge(
    "orca_mesh_tls_certificate_expiry_timestamp_seconds",
    "When the certificate that peers are shown ends.",
    () => tls.expiresMs / 1000,
  );
  metrics.counter("orca_mesh_tls_reloads_total", "New certificates taken up.", () => tls.stats.reloads);
  metrics.counter(
    "orca_mesh_tls_reload_failures_total",
    "Looks at the files of the mesh's certificate that found none to take up.",
    () => tls.stats.reloadFailures,
  );
}

function registerFillChunk(metrics: MetricsRegistry, { fillServer, fillClient }: MeshParts): void {
  metrics.counter(
    "orca_fill_chunk_requests_total",
    "Requests of peers for bytes of a chunk.",
    () => fillServer.stats.requests,
  );
  metrics.counter(
    "orca_fill_chunk_requests_malformed_total",
    "Those of them that could not be read.",
    () => fillServer.stats.malformed,
  );
  metrics.counter(
    "orca_fill_chunk_requests_failed_total",
    "Those of them that ended in an error or were given up by the peer.",
    () => fillServer.stats.failed,
  );
  metrics.counter(
    "orca_fill_chunk_sent_bytes_total",
    "Bytes of chunks sent to peers.",
    () => fillServer.stats.sentBytes,
  );
  metrics.counter("orca_fill_chunk_calls_total", "Requests to peers for bytes of a chunk, by end.", () => {
    const { requests: _, receivedBytes: __, ...ends } = fillClient.stats;
    return labelled("end", ends);
  });
  metrics.counter(
    "orca_fill_chunk_received_bytes_total",
    "Bytes of chunks received from peers.",
    () => fillClient.stats.receivedBytes,
  );
}

function registerRelay(metrics: MetricsRegistry, relay: MeshParts["relay"]): void {
  const { stats } = relay;
  metrics.gauge("orca_relays", "Chunks being brought from peers.", () => relay.flightsInProgress);
  metrics.counter(
    "orca_relays_total",
    "Chunks that peers were asked for in whole, read-ahead included.",
    () => stats.relays,
  );
  metrics.counter(
    "orca_relay_pieces_total",
    "Short ranges that were brought for one reader alone and not kept.",
    () => stats.ranges,
  );
  metrics.counter(
    "orca_relay_joins_total",
    "Readers that found their chunk being brought from a peer.",
    () => stats.joins,
  );
  metrics.counter(
    "orca_relays_resumed_total",
    "Times another replica was asked for what one still owed.",
    () => stats.resumed,
  );
  metrics.counter(
    "orca_relays_adopted_total",
    "Relays that went on with the origin, because no peer could.",
    () => stats.adopted,
  );
  metrics.counter(
    "orca_relays_moot_total",
    "Relays whose chunk had come by another way while they waited for memory.",
    () => stats.moot,
  );
  metrics.counter(
    "orca_relay_read_aheads_total",
    "Relays that began before anybody waited for them.",
    () => stats.readAheads,
  );
  metrics.counter("orca_relays_failed_total", "Relays that could not get their bytes.", () => stats.failed);
  metrics.counter("orca_relay_peer_bytes_total", "Bytes that relays had from peers.", () => stats.peerBytes);
}

/** What this replica answers as a coordinator, or refuses to because it is none. */
function registerAnswers(metrics: MetricsRegistry, { chunkServer, objectServer }: MeshParts): void {
  metrics.counter(
    "orca_fill_chunk_answers_total",
    "Chunks that peers asked for, by what they were told.",
    () => {
      const { answered, notCoordinator, notHeld } = chunkServer.stats;
      return labelled("answer", { bytes: answered, not_coordinator: notCoordinator, not_held: notHeld });
    },
  );
  metrics.counter("orca_invalidations_total", "Objects whose metadata is not to be used any more.", () => {
    const { invalidationsPublished, invalidationsHeard } = objectServer.stats;
    return labelled("direction", { published: invalidationsPublished, heard: invalidationsHeard });
  });
}

function registerCalls(metrics: MetricsRegistry, { calls, callsServed }: MeshParts): void {
  metrics.counter("orca_mesh_calls_total", "Calls to peers, by service.", () =>
    Object.entries(calls).map(([service, { stats }]) => ({ labels: { service }, value: stats.calls })),
  );
  metrics.counter("orca_mesh_calls_failed_total", "Calls to peers that failed, by why.", function* () {
    for (const [service, { stats }] of Object.entries(calls)) {
      const { calls: _, ...reasons } = stats;
      for (const { labels, value } of labelled("reason", reasons))
        yield { labels: { service, ...labels }, value };
    }
  });
  metrics.counter("orca_mesh_calls_served_total", "Calls of peers.", () => callsServed.stats.calls);
  metrics.counter("orca_mesh_calls_served_failed_total", "Calls of peers that failed, by why.", () => {
    const { calls: _, ...reasons } = callsServed.stats;
    return labelled("reason", reasons);
  });
}

/** Labels are written as words are in the names of metrics: `notHeld` is `not_held`. */
function labelled(label: string, counts: Counts): LabelledValue[] {
  return Object.entries(counts).map(([name, value]) => ({
    labels: { [label]: name.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`) },
    value,
  }));
}
