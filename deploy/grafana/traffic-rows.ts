/** Rows of the dashboard about what is saved, what clients see, and which replicas are there. */
import { lines, quantileBy, type RowSpec, rate, rateBy, stack, stat } from "./panel.ts";

const saved: RowSpec = {
  title: "What Orca saves",
  panels: [
    stat(
      "Bytes served",
      "bytes",
      { served: "sum(increase(orca_bytes_sent_total{@}[$__range]))" },
      "Object bytes sent to clients in the chosen time.",
    ),
    stat(
      "Bytes from the origin",
      "bytes",
      { origin: "sum(increase(orca_origin_bytes_total{@}[$__range]))" },
      "Object bytes received from origins in the chosen time.",
    ),
    stat(
      "Hit ratio by bytes",
      "percentunit",
      {
        "hit ratio":
          "1 - sum(increase(orca_origin_bytes_total{@}[$__range])) / sum(increase(orca_bytes_sent_total{@}[$__range]))",
      },
      "The share of the bytes sent that the origin did not send. Whole chunks and read-ahead can make it negative while the cache is cold.",
    ),
    stat(
      "Hit ratio by requests",
      "percentunit",
      {
        "hit ratio":
          'sum(increase(orca_first_byte_seconds_count{@, source=~"memory|disk|cachestore"}[$__range])) / sum(increase(orca_first_byte_seconds_count{@}[$__range]))',
      },
      "The share of responses whose first byte the asked replica had in memory, on disk or in the cachestore.",
    ),
    lines(
      "Served against the origin",
      "Bps",
      {
        "served to clients": rate("orca_bytes_sent_total"),
        "received from origins": rate("orca_origin_bytes_total"),
      },
      "The distance between the two lines is what is saved.",
    ),
    lines(
      "Hit ratios",
      "percentunit",
      {
        "by bytes": `1 - ${rate("orca_origin_bytes_total")} / ${rate("orca_bytes_sent_total")}`,
        "by requests": `${rate("orca_first_byte_seconds_count", ', source=~"memory|disk|cachestore"')} / ${rate("orca_first_byte_seconds_count")}`,
      },
      "Higher is better.",
    ),
    lines(
      "Requests of clients against the origin",
      "reqps",
      { "of clients": rate("orca_requests_total"), "to origins": rate("orca_origin_requests_total") },
      "Requests to origins count each attempt.",
    ),
  ],
};

const clients: RowSpec = {
  title: "Clients",
  panels: [
    stack(
      "Traffic by source",
      "Bps",
      { "{{source}}": rateBy("source", "orca_bytes_sent_total") },
      "Where the bytes came from: memory, disk, cachestore, peer, origin (this reader started the fetch), join (another reader had).",
    ),
    stack(
      "First bytes by source",
      "reqps",
      { "{{source}}": rateBy("source", "orca_first_byte_seconds_count") },
      "Responses by where their first byte came from.",
    ),
    lines(
      "First byte, 99 % by source",
      "s",
      { "{{source}}": quantileBy(0.99, "source", "orca_first_byte_seconds") },
      "Time until Orca had the first byte. Lower is better.",
    ),
    lines(
      "First byte, half by source",
      "s",
      { "{{source}}": quantileBy(0.5, "source", "orca_first_byte_seconds") },
      "The median.",
    ),
    lines(
      "Whole request, 99 % by operation",
      "s",
      { "{{operation}}": quantileBy(0.99, "operation", "orca_request_seconds") },
      "It includes the time that slow clients take.",
    ),
    stack(
      "Requests by operation",
      "reqps",
      { "{{operation}}": rateBy("operation", "orca_requests_total") },
      "Requests that ended.",
    ),
    lines(
      "Connections and requests in flight",
      "short",
      {
        connections: "sum(orca_client_connections{@})",
        "in flight": "sum(orca_requests_in_flight{@})",
        "readers that wait": "sum(orca_readers_waiting{@})",
      },
      "Bounds are server.max_connections and server.max_requests of each replica. No reader should wait.",
    ),
  ],
};

const members: RowSpec = {
  title: "Members",
  panels: [
    lines(
      "Members by state",
      "short",
      { "{{instance}} {{state}}": 'orca_members{@, state=~"alive|suspect|dead"} > 0' },
      "Every replica should see as many alive as run.",
    ),
    lines(
      "Members that answer",
      "short",
      { "{{instance}}": "orca_members_answering{@}" },
      "Should equal the number of live members.",
    ),
    lines(
      "Changes of members",
      "cps",
      { "{{change}}": rateBy("change", "orca_member_changes_total") },
      "Quiet while no replica starts or stops.",
    ),
    lines(
      "Calls between replicas that fail",
      "cps",
      {
        "{{service}} {{reason}}": rateBy("service, reason", "orca_mesh_calls_failed_total"),
        "coordinator unreachable": rate("orca_coordination_failures_total"),
        "coordinators disagree": rate("orca_coordination_disagreements_total"),
      },
      "Should stay low.",
    ),
  ],
};

export const trafficRows: readonly RowSpec[] = [saved, clients, members];
