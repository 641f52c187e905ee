import { chunkStreamsUnread, connectionAssaults } from "./mesh-assaults.ts";
import { type Assault, siege } from "./siege.ts";

const assaults: readonly Assault[] = [
  ...connectionAssaults,
  { attack: "mesh: malformed messages", counted: { orca_mesh_calls_served_failed_total: 20 } },
  {
    attack: "mesh: valid messages without pause",
    counted: { 'orca_membership_rejected_total{reason="flood"}': 20 },
  },
  { attack: "mesh: wrong fingerprints", counted: { 'orca_membership_rejected_total{reason="mismatch"}': 5 } },
  { attack: "mesh: forged ids", counted: { 'orca_membership_rejected_total{reason="identity"}': 5 } },
  { attack: "mesh: views of invented members" },
  { attack: "mesh: bodies that never end", counted: { orca_mesh_calls_rejected_total: 10 } },
  chunkStreamsUnread,
  { attack: "mesh: answers that are not read" },
];

siege("MeshServer: attacks of members and strangers leave a replica as it was", assaults);
