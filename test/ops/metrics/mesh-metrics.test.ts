import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { SystemClock } from "../../../src/base/clock.ts";
import { registerMeshMetrics } from "../../../src/ops/metrics/mesh-metrics.ts";
import { MetricsRegistry } from "../../../src/ops/metrics/metrics.ts";
import { memberOf } from "../../support/member-of.ts";
import { meshParts } from "../../support/metrics-sample.ts";

const page = readFileSync(join(import.meta.dirname, "../../../docs/metrics.md"), "utf8");

function fixture() {
  const parts = meshParts();
  const metrics = new MetricsRegistry(new SystemClock());
  registerMeshMetrics(metrics, parts);
  return { parts, membership: parts.membership, metrics };
}

async function seriesOf(metrics: MetricsRegistry): Promise<ReadonlyMap<string, number>> {
  const lines = (await metrics.render()).split("\n").filter((line) => line.startsWith("orca_"));
  return new Map(
    lines.map((line) => {
      const end = line.lastIndexOf(" ");
      return [line.slice(0, end), Number(line.slice(end + 1))];
    }),
  );
}

test("registerMeshMetrics: members are counted by state, this replica among them", async () => {
  const { membership, metrics } = fixture();
  membership.learn([memberOf("r2"), memberOf("r3", { state: "suspect" })]);
  const series = await seriesOf(metrics);
  assert.equal(series.get('orca_members{state="alive"}'), 2);
  assert.equal(series.get('orca_members{state="suspect"}'), 1);
  assert.equal(series.get('orca_members{state="dead"}'), 0);
  assert.equal(series.get('orca_member_changes_total{change="joined"}'), 2);
  assert.equal(series.get('orca_member_changes_total{change="suspected"}'), 1);
  membership.stop();
});

test("registerMeshMetrics: every number is read at the scrape, under its own name", async () => {
  const { parts, membership, metrics } = fixture();
  const { table, messenger, detector, rumors, stalls, discovery } = membership.stats;
  const expected = new Map<string, number>();
  let next = 100;
  const count = <Name extends string>(stats: Record<Name, number>, name: Name, series: string): void => {
    next += 1;
    stats[name] = next;
    expected.set(series, next);
  };
  count(table, "deaths", 'orca_member_changes_total{change="died"}');
  count(table, "refutations", "orca_member_refutations_total");
  count(table, "idConflicts", "orca_member_id_conflicts_total");
  count(table, "rejectedForeign", 'orca_membership_rejected_total{reason="foreign_member"}');
  count(messenger, "pingsFailed", 'orca_membership_messages_failed_total{kind="ping"}');
  count(messenger, "rejectedMismatch", 'orca_membership_rejected_total{reason="mismatch"}');
  count(messenger, "indirectPings", 'orca_membership_messages_total{kind="ping_indirect"}');
  count(detector, "probesFailed", "orca_membership_probes_failed_total");
  count(rumors, "heard", 'orca_membership_rumors_total{event="heard"}');
  count(stalls, "stalls", "orca_membership_stalls_total");
  count(discovery, "lookupsFailed", "orca_membership_lookups_failed_total");
  count(parts.coordination.stats, "failures", "orca_coordination_failures_total");
  count(parts.coordination.stats, "avoided", "orca_coordination_avoided_total");
  count(parts.coordination.stats, "disagreements", "orca_coordination_disagreements_total");
  count(parts.server.stats, "sessionsOpen", 'orca_mesh_sessions_open{side="server"}');
  count(parts.server.stats, "sessionsBroken", "orca_mesh_sessions_broken_total");
  count(parts.server.stats, "connectionsDropped", "orca_mesh_connections_dropped_total");
  count(parts.server.stats, "requests", 'orca_mesh_requests_total{side="server"}');
  count(
    parts.server.handshakeFailures.counts,
    "wrong_identity",
    'orca_mesh_handshake_failures_total{side="server",reason="wrong_identity"}',
  );
  count(parts.peers, "size", "orca_mesh_peers");
  count(parts.peers.stats, "sessionsDead", 'orca_mesh_sessions_dead_total{side="client"}');
  count(parts.peers.stats, "connectFailures", "orca_mesh_connect_failures_total");
  count(parts.peers.stats, "requestsWhileDown", "orca_mesh_requests_while_down_total");
  count(parts.peers.stats, "streams", 'orca_mesh_requests_total{side="client"}');
  count(
    parts.peers.handshakeFailures.counts,
    "expired",
    'orca_mesh_handshake_failures_total{side="client",reason="expired"}',
  );
  count(parts.tls.stats, "reloads", "orca_mesh_tls_reloads_total");
  count(parts.tls.stats, "reloadFailures", "orca_mesh_tls_reload_failures_total");
  count(parts.fillServer.stats, "requests", "orca_fill_chunk_requests_total");
  count(parts.fillServer.stats, "malformed", "orca_fill_chunk_requests_malformed_total");
  count(parts.fillServer.stats, "failed", "orca_fill_chunk_requests_failed_total");
  count(parts.fillServer.stats, "sentBytes", "orca_fill_chunk_sent_bytes_total");
  count(parts.fillClient.stats, "complete", 'orca_fill_chunk_calls_total{end="complete"}');
  count(parts.fillClient.stats, "notHeld", 'orca_fill_chunk_calls_total{end="not_held"}');
  count(parts.fillClient.stats, "receivedBytes", "orca_fill_chunk_received_bytes_total");
  count(parts.relay, "flightsInProgress", "orca_relays");
  count(parts.relay.stats, "relays", "orca_relays_total");
  count(parts.relay.stats, "cut", "orca_relays_cut_total");
  count(parts.relay.stats, "joins", "orca_relay_joins_total");
  count(parts.relay.stats, "resumed", "orca_relays_resumed_total");
  count(parts.relay.stats, "adopted", "orca_relays_adopted_total");
  count(parts.relay.stats, "failed", "orca_relays_failed_total");
  count(parts.relay.stats, "peerBytes", "orca_relay_peer_bytes_total");
  count(parts.calls.membership.stats, "calls", 'orca_mesh_calls_total{service="membership"}');
  count(
    parts.calls.object.stats,
    "peerError",
    'orca_mesh_calls_failed_total{service="object",reason="peer_error"}',
  );
  count(parts.callsServed.stats, "calls", "orca_mesh_calls_served_total");
  count(
    parts.callsServed.stats,
    "notCoordinator",
    'orca_mesh_calls_served_failed_total{reason="not_coordinator"}',
  );
  count(parts.requestIds.stats, "replaced", "orca_mesh_request_ids_replaced_total");
  const series = await seriesOf(metrics);
  for (const [name, value] of expected) assert.equal(series.get(name), value, name);
  assert.equal(series.get("orca_mesh_tls_certificate_expiry_timestamp_seconds"), 4);
});

test("registerMeshMetrics: a mesh without TLS has no certificate to tell of", async () => {
  const metrics = new MetricsRegistry(new SystemClock());
  registerMeshMetrics(metrics, { ...fixture().parts, tls: undefined });
  assert.doesNotMatch(await metrics.render(), /orca_mesh_tls/);
});

test("docs/metrics.md: every metric of the mesh is told of", async () => {
  const text = await fixture().metrics.render();
  const names = Array.from(text.matchAll(/^# TYPE (\S+)/gm), ([, name = ""]) => name);
  assert.ok(names.length > 40);
  for (const name of names) assert.match(page, new RegExp(`^\\| \`${name}\` `, "m"));
});
