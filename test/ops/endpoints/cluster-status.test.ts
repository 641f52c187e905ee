import assert from "node:assert/strict";
import { test } from "node:test";
import { clusterStatus } from "../../../src/ops/endpoints/cluster-status.ts";
import { clusterOfOne } from "../../support/cluster-of-one.ts";
import { memberOf } from "../../support/member-of.ts";

test("clusterStatus: a cluster of one has one member and no peers", () => {
  assert.deepEqual(clusterStatus({ ...clusterOfOne, zone: "z" }, "starting"), {
    replica_id: "r1",
    address: "",
    zone: "z",
    phase: "starting",
    members: [{ replica_id: "r1", address: "", zone: "z", state: "alive", incarnation: 0, self: true }],
    origin_share: [{ origin: "o", requests_max: 192, requests_in_flight: 0, requests_waiting: 0 }],
    bytes: { memory: { used: 0, max: 1024 }, disk: null },
    fills: { flights: 0, relays: 0 },
    peers: null,
    threads: [{ thread: "main", busy: 0.03, connections: 3 }],
    notices: {},
  });
});

test("clusterStatus: tells of the whole view, in the order of ids, whatever order it is known in", () => {
  const self = memberOf("r2", { address: "10.0.0.2:8444", zone: "eu-1", incarnation: 7 });
  const others = [memberOf("r3", { state: "dead" }), memberOf("r1", { state: "suspect", incarnation: 9 })];
  const { members, ...rest } = clusterStatus(
    {
      replicaId: "r2",
      zone: "eu-1",
      origins: [
        { id: "a", requestsInFlightMax: 64, requestsInFlight: 3, requestsWaiting: 1 },
        { id: "b", requestsInFlightMax: 1, requestsInFlight: 0, requestsWaiting: 0 },
      ],
      budget: { usedBytes: 5, maxBytes: 10 },
      disk: { usedBytes: 50, maxBytes: 100 },
      filler: { flightsInProgress: 2 },
      relay: { flightsInProgress: 4 },
      membership: { self, members: () => [...others, self] },
      peers: {
        size: 1,
        stats: {
          sessions: 9,
          sessionsOpen: 2,
          sessionsDead: 1,
          connectFailures: 3,
          requestsWhileDown: 4,
          streams: 8,
        },
      },
      threads: {
        read: () => [
          { name: "main", connections: undefined, busyPart: 0.5 },
          { name: "orca-edge-1", connections: 64, busyPart: 1 },
        ],
      },
    },
    "serving",
  );
  assert.deepEqual(
    members.map(({ replica_id, state, incarnation, self: isSelf }) => [
      replica_id,
      state,
      incarnation,
      isSelf,
    ]),
    [
      ["r1", "suspect", 9, false],
      ["r2", "alive", 7, true],
      ["r3", "dead", 1, false],
    ],
  );
  assert.deepEqual(rest, {
    replica_id: "r2",
    address: "10.0.0.2:8444",
    zone: "eu-1",
    phase: "serving",
    origin_share: [
      { origin: "a", requests_max: 64, requests_in_flight: 3, requests_waiting: 1 },
      { origin: "b", requests_max: 1, requests_in_flight: 0, requests_waiting: 0 },
    ],
    bytes: { memory: { used: 5, max: 10 }, disk: { used: 50, max: 100 } },
    fills: { flights: 2, relays: 4 },
    peers: { known: 1, sessions_open: 2, sessions_dead: 1, connect_failures: 3, requests_while_down: 4 },
    threads: [
      { thread: "main", busy: 0.5, connections: null },
      { thread: "orca-edge-1", busy: 1, connections: 64 },
    ],
    notices: {},
  });
});
