/** The attacks that a mesh port must withstand, and a port for chunk bytes as well: on TLS, on HTTP/2 and on chunk streams. */
import type { Assault } from "./siege.ts";

export const chunkStreamsUnread: Assault = { attack: "mesh: chunk streams that are not read" };

export const connectionAssaults: readonly Assault[] = [
  { attack: "mesh: garbage in place of TLS", counted: { orca_mesh_handshake_failures_total: 20 } },
  {
    attack: "mesh: handshakes left unfinished",
    counted: { orca_mesh_handshake_failures_total: 50 },
    endsItself: true,
  },
  { attack: "mesh: handshakes broken off", counted: { orca_mesh_handshake_failures_total: 10 } },
  { attack: "mesh: strangers", counted: { orca_mesh_handshake_failures_total: 3 } },
  {
    attack: "mesh: more connections than an address may open",
    counted: { orca_mesh_connections_over_rate_total: 50 },
  },
  { attack: "mesh: wrong frames", counted: { orca_mesh_sessions_broken_total: 1 } },
  { attack: "mesh: a flood of SETTINGS" },
  { attack: "mesh: a flood of PING" },
  { attack: "mesh: a flood of PRIORITY" },
  { attack: "mesh: a flood of empty frames" },
  { attack: "mesh: rapid resets", counted: { orca_mesh_sessions_broken_total: 1 } },
  { attack: "mesh: a head that never ends" },
  { attack: "mesh: windows of 0, and over 2^31", counted: { orca_mesh_sessions_broken_total: 1 } },
  { attack: "mesh: header tables" },
  { attack: "mesh: streams that depend on themselves" },
  { attack: "mesh: odd authorities and paths", counted: { 'orca_mesh_requests_total{side="server"}': 20 } },
];
