/** What the status of a replica without peers is read from. */
import type { ClusterStatusSource } from "../../src/ops/endpoints/cluster-status.ts";

export const clusterOfOne: ClusterStatusSource = {
  replicaId: "r1",
  zone: "",
  origins: [{ id: "o", requestsInFlightMax: 192, requestsInFlight: 0, requestsWaiting: 0 }],
  budget: { usedBytes: 0, maxBytes: 1024 },
  disk: undefined,
  filler: { flightsInProgress: 0 },
  relay: undefined,
  membership: undefined,
  peers: undefined,
  threads: { read: () => [{ name: "main", connections: 3, busyPart: 0.0302 }] },
};
