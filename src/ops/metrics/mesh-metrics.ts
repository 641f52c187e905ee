/**
 * The metrics of a replica with peers, put together, and among them those of the mesh: sessions, certificates and calls.
 * This layer may not import the mesh, and knows its parts by the shape of their numbers.
 */
import type { ObjectServer } from "../../object/object-server.ts";
import type { TlsCounters } from "./client-metrics.ts";
import { type MembershipParts, registerMembershipMetrics } from "./membership-metrics.ts";
import { type Counts, type LabelledValue, labelled, type MetricsRegistry, snakeCased } from "./metrics.ts";
import { type RelayParts, registerRelayMetrics } from "./relay-metrics.ts";

interface SessionCounters {
  readonly sessions: number;
  readonly sessionsOpen: number;
  readonly sessionsDead: number;
}

/** The listener for peers. */
export interface MeshServerCounters {
  readonly stats: SessionCounters & {
    readonly sessionsBroken: number;
    readonly sessionsUnnamed: number;
    readonly connectionsDropped: number;
    readonly connectionsOverRate: number;
    readonly requests: number;
    readonly requestsFailed: number;
  };
  readonly rpc: { readonly stats: Counts; readonly bodyBytes: number; readonly answerBytes: number };
  readonly handshakeFailures: { readonly counts: Counts };
}

/** The sessions to peers. */
export interface PeersCounters {
  readonly size: number;
  readonly stats: SessionCounters & {
    readonly connectFailures: number;
    readonly requestsWhileDown: number;
    readonly streams: number;
  };
  readonly handshakeFailures: { readonly counts: Counts };
}

/** Calls with one answer: all of them, and those that failed by reason. */
export interface CallCounters {
  readonly stats: Counts & { readonly calls: number };
}

export interface MeshParts extends MembershipParts, RelayParts {
  readonly server: MeshServerCounters;
  readonly peers: PeersCounters;
  /** Undefined for a mesh without TLS. */
  readonly tls: TlsCounters | undefined;
  /** Calls to peers, by service: `membership`, `object`, `cache`. */
  readonly calls: Readonly<Record<string, CallCounters>>;
  /** Calls of peers, of all services. */
  readonly callsServed: CallCounters;
  readonly objectServer: Pick<ObjectServer, "stats">;
  readonly requestIds: { readonly stats: { readonly replaced: number } };
}

/** The share of `target_global` is `orca_origin_requests_max`, which every replica has. */
export function registerMeshMetrics(metrics: MetricsRegistry, parts: MeshParts): void {
  registerMembershipMetrics(metrics, parts);
  registerSessionMetrics(metrics, parts);
  registerRelayMetrics(metrics, parts);
}

export function registerSessionMetrics(metrics: MetricsRegistry, parts: MeshParts): void {
  registerSessions(metrics, parts);
  registerRequestBounds(metrics, parts);
  registerConnections(metrics, parts);
  if (parts.tls) registerTls(metrics, parts.tls);
  registerCalls(metrics, parts);
  registerInvalidations(metrics, parts.objectServer);
}

function registerSessions(metrics: MetricsRegistry, { server, peers }: MeshParts): void {
  const bySide = (read: (side: SessionCounters) => number) => (): LabelledValue[] =>
    labelled("side", { server: read(server.stats), client: read(peers.stats) });
  metrics.gauge(
    "orca_mesh_peers",
    { meaning: "Replicas that this one has sessions to.", watch: "About the number of other live members." },
    () => peers.size,
  );
  metrics.gauge(
    "orca_mesh_sessions_open",
    {
      meaning:
        "Open sessions, by side: made by peers (server), made to peers (client). Two for each peer, and for a time three where chunks are read at cluster.bytes_listen.",
      watch: "Steady while no replica starts or stops.",
    },
    bySide(({ sessionsOpen }) => sessionsOpen),
  );
  metrics.counter(
    "orca_mesh_sessions_total",
    { meaning: "Sessions made, by side.", watch: "Steady while no replica starts or stops." },
    bySide(({ sessions }) => sessions),
  );
  metrics.counter(
    "orca_mesh_sessions_dead_total",
    {
      meaning: "Sessions closed because the other end did not answer pings, by side.",
      watch: "Should stay low: a replica stood still, or the network is down.",
    },
    bySide(({ sessionsDead }) => sessionsDead),
  );
  metrics.counter(
    "orca_mesh_sessions_broken_total",
    {
      meaning: "Sessions of peers closed because of a protocol error.",
      watch: "Should stay 0: a stranger, or a bug.",
    },
    () => server.stats.sessionsBroken,
  );
  metrics.counter(
    "orca_mesh_requests_total",
    { meaning: "Requests of peers (server) and to peers (client), by side.", watch: "Depends on the load." },
    () => labelled("side", { server: server.stats.requests, client: peers.stats.streams }),
  );
}

function registerRequestBounds(metrics: MetricsRegistry, { server }: MeshParts): void {
  metrics.counter(
    "orca_mesh_requests_failed_total",
    {
      meaning: "Requests of peers that ended with an error which no part of Orca expected.",
      watch: "Should stay 0: a bug. The log has the error.",
    },
    () => server.stats.requestsFailed,
  );
  metrics.counter(
    "orca_mesh_calls_rejected_total",
    {
      meaning:
        "Calls of peers ended by a bound, by reason: body_late (not sent in time), answer_late (not received in time), over_budget (too many bytes in transit).",
      watch: "Should stay 0: a stranger, or a peer that stands still.",
    },
    () => labelled("reason", snakeCased(server.rpc.stats)),
  );
  metrics.gauge(
    "orca_mesh_call_bytes",
    {
      meaning: "Bytes of the calls of peers in transit, by direction: received, sent.",
      watch: "Near 0 most of the time.",
    },
    () => labelled("direction", { received: server.rpc.bodyBytes, sent: server.rpc.answerBytes }),
  );
}

function registerConnections(metrics: MetricsRegistry, { server, peers }: MeshParts): void {
  metrics.counter(
    "orca_mesh_handshake_failures_total",
    {
      meaning:
        "Connections that were not established, by side and reason: no_certificate, unknown_authority, expired, wrong_identity, wrong_purpose, protocol, timeout, broken.",
      watch: "Grows for a reason that names a certificate: renew it, or correct it.",
    },
    function* () {
      for (const [side, { handshakeFailures }] of Object.entries({ server, client: peers })) {
        for (const [reason, value] of Object.entries(handshakeFailures.counts))
          yield { labels: { side, reason }, value };
      }
    },
  );
  metrics.counter(
    "orca_mesh_connections_dropped_total",
    {
      meaning: "Connections closed without an answer, over the limit of 2,048, which holds for each port.",
      watch: "Should stay 0: something other than replicas connects.",
    },
    () => server.stats.connectionsDropped,
  );
  metrics.counter(
    "orca_mesh_connections_over_rate_total",
    {
      meaning: "Connections closed without an answer, because their address opens too many.",
      watch: "Should stay 0: a stranger, or a peer that reconnects all the time.",
    },
    () => server.stats.connectionsOverRate,
  );
  metrics.counter(
    "orca_mesh_sessions_unnamed_total",
    {
      meaning: "Sessions of peers whose certificate names no replica. Only with cluster.internal_tls.",
      watch: "0 when each replica has a certificate of its own.",
    },
    () => server.stats.sessionsUnnamed,
  );
  metrics.counter(
    "orca_mesh_connect_failures_total",
    {
      meaning: "Attempts to connect to a peer that failed.",
      watch: "Should stay low: a replica or the network is down.",
    },
    () => peers.stats.connectFailures,
  );
  metrics.counter(
    "orca_mesh_requests_while_down_total",
    {
      meaning: "Requests that failed at once, because their peer had just been unreachable.",
      watch: "Should stay low: a replica or the network is down.",
    },
    () => peers.stats.requestsWhileDown,
  );
}

function registerTls(metrics: MetricsRegistry, tls: TlsCounters): void {
  metrics.gauge(
    "orca_mesh_tls_certificate_expiry_timestamp_seconds",
    {
      meaning:
        "When the certificate that peers see expires, as Unix time. Only with cluster.internal_tls, as are the next two.",
      watch: "Alert weeks before.",
    },
    () => tls.expiresMs / 1000,
  );
  metrics.counter(
    "orca_mesh_tls_reloads_total",
    { meaning: "Times a changed certificate was loaded.", watch: "Grows by one at each renewal." },
    () => tls.stats.reloads,
  );
  metrics.counter(
    "orca_mesh_tls_reload_failures_total",
    {
      meaning: "Times the files of the certificate held no usable pair. The old certificate stays in use.",
      watch: "Should not grow.",
    },
    () => tls.stats.reloadFailures,
  );
}

function registerCalls(metrics: MetricsRegistry, { calls, callsServed, requestIds }: MeshParts): void {
  metrics.counter(
    "orca_mesh_calls_total",
    { meaning: "Calls to peers, by service: membership, object, cache.", watch: "Depends on the load." },
    () => Object.entries(calls).map(([service, { stats }]) => ({ labels: { service }, value: stats.calls })),
  );
  metrics.counter(
    "orca_mesh_calls_failed_total",
    {
      meaning:
        "Calls to peers that failed, by service and reason: peer_error (the peer returned an error), unavailable, malformed (the answer could not be read).",
      watch: "Unavailable grows: a replica or the network is down.",
    },
    function* () {
      for (const [service, { stats }] of Object.entries(calls)) {
        const { calls: _, ...reasons } = stats;
        for (const { labels, value } of labelled("reason", snakeCased(reasons)))
          yield { labels: { service, ...labels }, value };
      }
    },
  );
  metrics.counter(
    "orca_mesh_calls_served_total",
    { meaning: "Calls of peers, of all services.", watch: "Depends on the load." },
    () => callsServed.stats.calls,
  );
  metrics.counter(
    "orca_mesh_calls_served_failed_total",
    {
      meaning:
        "Calls of peers that failed, by reason: failed, malformed (the call could not be read), not_coordinator (another replica coordinates the object).",
      watch: "Many not_coordinator: the views of the replicas differ.",
    },
    () => {
      const { calls: _, ...reasons } = callsServed.stats;
      return labelled("reason", snakeCased(reasons));
    },
  );
  metrics.counter(
    "orca_mesh_request_ids_replaced_total",
    {
      meaning:
        "Request ids of peers that were longer than 64 characters or not printable, and were replaced.",
      watch: "0: a replica sends no such id.",
    },
    () => requestIds.stats.replaced,
  );
}

function registerInvalidations(metrics: MetricsRegistry, { stats }: MeshParts["objectServer"]): void {
  metrics.counter(
    "orca_invalidations_total",
    {
      meaning:
        "Objects whose metadata became invalid, by direction: published (found changed here), heard (another replica published it).",
      watch: "Grows when objects are overwritten.",
    },
    () => labelled("direction", { published: stats.invalidationsPublished, heard: stats.invalidationsHeard }),
  );
}
