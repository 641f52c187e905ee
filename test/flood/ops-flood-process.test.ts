import { type Assault, siege } from "./siege.ts";

const assaults: readonly Assault[] = [
  { attack: "ops: odd hosts" },
  { attack: "ops: odd methods and requests" },
  { attack: "ops: random bytes" },
  { attack: "ops: large bodies" },
  { attack: "ops: a flood of requests" },
  { attack: "ops: requests ahead of answers that are not read" },
  { attack: "ops: silent sockets", counted: { orca_ops_connections_closed_total: 100 } },
  { attack: "ops: slow heads", counted: { orca_ops_connections_closed_total: 100 } },
];

siege("OpsServer: attacks leave a replica as it was", assaults);
