/** Metrics of the chunks that replicas fetch from each other: requests both ways, and the relays that send them. */
import type { ChunkServer } from "../../fill/chunk-server.ts";
import type { Relay } from "../../fill/relay.ts";
import { type Counts, labelled, type MetricsRegistry, snakeCased } from "./metrics.ts";

/** Requests of peers for chunks. */
export interface FillServerCounters {
  readonly stats: {
    readonly requests: number;
    readonly malformed: number;
    readonly failed: number;
    readonly sentBytes: number;
  };
}

/** Requests to peers for chunks. Beside these two numbers, it counts the requests by how they ended. */
export interface FillClientCounters {
  readonly stats: Counts & { readonly requests: number; readonly receivedBytes: number };
}

export interface RelayParts {
  readonly fillServer: FillServerCounters;
  readonly fillClient: FillClientCounters;
  readonly relay: Pick<Relay, "stats" | "flightsInProgress">;
  readonly chunkServer: Pick<ChunkServer, "stats">;
}

export function registerRelayMetrics(metrics: MetricsRegistry, parts: RelayParts): void {
  registerServed(metrics, parts);
  registerRequested(metrics, parts.fillClient);
  registerRelays(metrics, parts.relay);
  registerRelayEnds(metrics, parts.relay);
}

function registerServed(metrics: MetricsRegistry, { fillServer, chunkServer }: RelayParts): void {
  metrics.counter(
    "orca_fill_chunk_requests_total",
    { meaning: "Requests of peers for bytes of a chunk.", watch: "Depends on the load." },
    () => fillServer.stats.requests,
  );
  metrics.counter(
    "orca_fill_chunk_requests_malformed_total",
    {
      meaning: "Of these, requests that could not be read.",
      watch: "Should stay 0: a replica of another version, or a stranger.",
    },
    () => fillServer.stats.malformed,
  );
  metrics.counter(
    "orca_fill_chunk_requests_failed_total",
    {
      meaning: "Of these, requests that ended in an error or were cancelled by the peer.",
      watch: "Should stay low.",
    },
    () => fillServer.stats.failed,
  );
  metrics.counter(
    "orca_fill_chunk_sent_bytes_total",
    { meaning: "Bytes of chunks sent to peers.", watch: "Depends on the load." },
    () => fillServer.stats.sentBytes,
  );
  metrics.counter(
    "orca_fill_chunk_answers_total",
    {
      meaning:
        "Answers to peers that asked for a chunk, by answer: bytes, not_coordinator (another replica coordinates it), not_held (the peer wanted only what is cached).",
      watch: "Many not_coordinator: the views of the replicas differ.",
    },
    () => {
      const { answered, notCoordinator, notHeld } = chunkServer.stats;
      return labelled("answer", { bytes: answered, not_coordinator: notCoordinator, not_held: notHeld });
    },
  );
}

function registerRequested(metrics: MetricsRegistry, { stats }: FillClientCounters): void {
  metrics.counter(
    "orca_fill_chunk_calls_total",
    {
      meaning:
        "Requests to peers for bytes of a chunk, by end: complete, not_coordinator, not_held, peer_error (any other error that the peer returned), unreachable, broken, abandoned (no reader wanted the bytes any more).",
      watch: "Unreachable or broken grow: a replica or the network is down.",
    },
    () => {
      const { requests: _, receivedBytes: __, ...ends } = stats;
      return labelled("end", snakeCased(ends));
    },
  );
  metrics.counter(
    "orca_fill_chunk_received_bytes_total",
    { meaning: "Bytes of chunks received from peers.", watch: "Depends on the load." },
    () => stats.receivedBytes,
  );
}

function registerRelays(metrics: MetricsRegistry, relay: RelayParts["relay"]): void {
  const { stats } = relay;
  metrics.gauge(
    "orca_relays",
    {
      meaning: "Relays in progress: runs of blocks being fetched from peers.",
      watch: "Depends on the load.",
    },
    () => relay.flightsInProgress,
  );
  metrics.counter(
    "orca_relays_total",
    { meaning: "Relays of a run of blocks, read-ahead included.", watch: "Depends on the load." },
    () => stats.relays,
  );
  metrics.counter(
    "orca_relays_cut_total",
    {
      meaning: "Relays that ended early, because every client that read them had left.",
      watch: "Grows with clients that leave in the middle.",
    },
    () => stats.cut,
  );
  metrics.counter(
    "orca_relay_joins_total",
    {
      meaning: "Readers that joined a relay of their bytes.",
      watch: "Higher is better: each one saved a relay.",
    },
    () => stats.joins,
  );
  metrics.counter(
    "orca_relay_read_aheads_total",
    {
      meaning: "Relays that began before a client asked for the chunk.",
      watch: "Depends on the load. chunking.readahead bounds it.",
    },
    () => stats.readAheads,
  );
  metrics.counter(
    "orca_relay_peer_bytes_total",
    { meaning: "Bytes that relays received from peers.", watch: "Depends on the load." },
    () => stats.peerBytes,
  );
}

function registerRelayEnds(metrics: MetricsRegistry, { stats }: RelayParts["relay"]): void {
  metrics.counter(
    "orca_relays_resumed_total",
    {
      meaning: "Times a relay asked the next replica for the rest, because the first one failed.",
      watch: "Should stay low: a replica or the network is down.",
    },
    () => stats.resumed,
  );
  metrics.counter(
    "orca_relays_adopted_total",
    {
      meaning: "Relays that this replica finished from the origin, because no peer could.",
      watch: "Should stay low: the origin may send chunks twice.",
    },
    () => stats.adopted,
  );
  metrics.counter(
    "orca_relays_moot_total",
    {
      meaning: "Relays whose chunk arrived in another way while they waited for memory.",
      watch: "Harmless: these fetched nothing.",
    },
    () => stats.moot,
  );
  metrics.counter(
    "orca_relays_failed_total",
    { meaning: "Relays that could not get their bytes.", watch: "Should not grow." },
    () => stats.failed,
  );
}
