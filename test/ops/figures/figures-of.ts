/** The figures of a replica that has done nothing, with what a test changes. */
import type { ReplicaFigures } from "../../../src/figures/replica-figures.ts";

export function figuresOf(replicaId: string, changed: Partial<ReplicaFigures> = {}): ReplicaFigures {
  return {
    replica_id: replicaId,
    zone: "",
    version: "1",
    phase: "serving",
    at_ms: 0,
    started_ms: 0,
    served_bytes: 0,
    origin_bytes: 0,
    requests: 0,
    bad_answers: 0,
    sources: {},
    first_byte: [],
    tiers: [],
    fills: { flights: 0, relays: 0 },
    origins: [],
    notices: {},
    errors: [],
    hot_objects: [],
    history: { start_ms: 0, slot_ms: 5000, served_bytes: [], origin_bytes: [], requests: [] },
    ...changed,
  };
}

export function originFigures(servedBytes: number, originBytes: number, pricePerGb: number) {
  return {
    origin: "o",
    served_bytes: servedBytes,
    origin_bytes: originBytes,
    requests: 0,
    requests_max: 1,
    requests_in_flight: 0,
    requests_waiting: 0,
    throttle_part: 1,
    price_per_gb: pricePerGb,
  };
}
