import { type Assault, siege } from "./siege.ts";

const assaults: readonly Assault[] = [
  { attack: "ranges and conditions" },
  { attack: "percent-encodings" },
  { attack: "random bytes", counted: { orca_requests_malformed_total: 50 } },
  { attack: "mutated requests", counted: { orca_requests_malformed_total: 10 } },
  { attack: "huge heads", counted: { orca_requests_malformed_total: 10 } },
  { attack: "many headers" },
  { attack: "hundreds of pipelined requests" },
  { attack: "slow heads", counted: { orca_requests_malformed_total: 50 }, endsItself: true },
  { attack: "slow bodies", endsItself: true },
  { attack: "slow readers", counted: { orca_clients_: 50 }, endsItself: true },
  { attack: "half-closed connections", endsItself: true },
  { attack: "resets in the middle of a body", counted: { orca_clients_gone_total: 20 } },
  { attack: "HTTP/2 on the port of HTTP/1.1", counted: { orca_requests_malformed_total: 20 } },
  { attack: "listings without end", counted: { orca_listing_lookups_total: 100 } },
  { attack: "connections over the limit" },
  { attack: "edge: garbage in place of TLS", counted: { orca_tls_handshakes_failed_total: 20 } },
  {
    attack: "edge: handshakes left unfinished",
    counted: { orca_tls_handshakes_failed_total: 50 },
    endsItself: true,
  },
  { attack: "edge: handshakes broken off" },
  { attack: "edge: renegotiation" },
  { attack: "edge: mutated requests over TLS" },
  { attack: "edge: slow readers over TLS", endsItself: true },
  { attack: "edge: garbage inside of TLS records" },
];

siege("S3Listener: attacks of clients leave a replica as it was", assaults);
