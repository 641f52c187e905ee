/** Rows of the dashboard about where bytes lie and how they move. */
import { lines, type RowSpec, rate, rateBy, stack } from "./panel.ts";

const tiers: RowSpec = {
  title: "Tiers",
  panels: [
    lines(
      "Memory used",
      "percentunit",
      { "{{instance}}": "orca_memory_used_bytes{@} / orca_memory_max_bytes{@}" },
      "At the bound is normal.",
    ),
    lines(
      "Disk used",
      "percentunit",
      { "{{instance}}": "orca_disk_used_bytes{@} / orca_disk_max_bytes{@}" },
      "Grows until the disk is full.",
    ),
    lines(
      "Memory hits and misses",
      "ops",
      { hits: rate("orca_memory_hits_total"), misses: rate("orca_memory_misses_total") },
      "Chunks, once per reader.",
    ),
    lines(
      "Evictions",
      "ops",
      { memory: rate("orca_memory_evictions_total"), disk: rate("orca_disk_evictions_total") },
      "Together with many fills: a tier is smaller than what is read often.",
    ),
    stack(
      "Chunks held",
      "short",
      {
        memory: "sum(orca_memory_chunks{@})",
        disk: "sum(orca_disk_chunks{@})",
        "cachestore (hints)": "max(orca_catalog_hints{@})",
      },
      "Hints are what a replica believes the cachestore to hold.",
    ),
    lines(
      "Waiting for memory or disk",
      "short",
      {
        "fills and reads that wait for memory": "sum(orca_memory_waiting{@})",
        "disks set aside": "sum(orca_disk_set_aside{@})",
      },
      "Should be 0 most of the time.",
    ),
  ],
};

const flights: RowSpec = {
  title: "Flights",
  panels: [
    lines(
      "Flights and relays now",
      "short",
      { flights: "sum(orca_flights{@})", relays: "sum(orca_relays{@})" },
      "Chunks being fetched from origins or the cachestore, and from peers.",
    ),
    lines(
      "Flights",
      "ops",
      {
        started: rate("orca_flights_total"),
        joined: rate("orca_flight_joins_total"),
        "read ahead": rate("orca_read_aheads_total"),
        failed: rate("orca_flights_failed_total"),
      },
      "Each join saved a fill. None should fail.",
    ),
    lines(
      "Relays",
      "ops",
      {
        started: rate("orca_relays_total"),
        joined: rate("orca_relay_joins_total"),
        resumed: rate("orca_relays_resumed_total"),
        "finished from the origin": rate("orca_relays_adopted_total"),
        failed: rate("orca_relays_failed_total"),
      },
      "Resumed or finished from the origin: a replica or the network is down.",
    ),
    lines(
      "Bytes between replicas",
      "Bps",
      { received: rate("orca_fill_chunk_received_bytes_total") },
      "Chunk bytes that replicas fetched from each other.",
    ),
    lines(
      "Requests to origins",
      "reqps",
      { "{{origin}} {{operation}}": rateBy("origin, operation", "orca_origin_requests_total") },
      "Each attempt counts.",
    ),
    lines(
      "Permits of origins",
      "short",
      {
        "{{origin}} in flight": "sum by (origin) (orca_origin_requests_in_flight{@})",
        "{{origin}} waiting": "sum by (origin) (orca_origin_requests_waiting{@})",
        "{{origin}} at most": "sum by (origin) (orca_origin_requests_max{@})",
      },
      "Waiting for minutes: the origin is too slow, or origin.target_global too low.",
    ),
    lines(
      "Look-ups of metadata",
      "reqps",
      { "{{result}}": rateBy("result", "orca_directory_lookups_total") },
      "Each miss costs the origin a HEAD.",
    ),
  ],
};

const copies: RowSpec = {
  title: "Replication (with cluster.replication above 1)",
  panels: [
    lines(
      "Pulls",
      "ops",
      { "{{end}}": rateBy("end", "orca_pulls_total") },
      "Copies of chunks to this disk, by how they ended.",
    ),
    lines(
      "Pulls now",
      "short",
      { waiting: "sum(orca_pulls_waiting{@})", running: "sum(orca_pulls_running{@})" },
      "0 when all copies are there.",
    ),
    lines(
      "Last round of anti-entropy",
      "short",
      {
        "{{instance}} {{state}}": 'orca_anti_entropy_chunks{@, state=~"missing|unfit"}',
        "{{instance}} peers not listed": "orca_anti_entropy_peers_failed{@}",
      },
      "Missing chunks are pulled. Unfit ones have no room: the disks are too small.",
    ),
    lines("Extra copies", "short", { "{{instance}}": "orca_extra_copies{@}" }, "They are evicted first."),
  ],
};

const scrub: RowSpec = {
  title: "Scrub (with disk)",
  panels: [
    lines(
      "Progress",
      "percentunit",
      { "{{instance}}": "orca_scrub_progress_ratio{@}" },
      "Of the current or the last pass.",
    ),
    lines(
      "Since the last pass",
      "s",
      { "{{instance}}": "time() - (orca_scrub_last_finished_timestamp_seconds{@} > 0)" },
      "Should not pass disk.scrub_interval by much. Empty before the first pass.",
    ),
    lines(
      "Chunks checked",
      "ops",
      { "{{result}}": rateBy("result", "orca_scrub_chunks_total") },
      "Damaged ones are deleted, and fetched again when they are read.",
    ),
  ],
};

const cachestore: RowSpec = {
  title: "Cachestore (with cachestore.driver)",
  panels: [
    lines(
      "Breaker closed",
      "short",
      {
        "{{instance}}": 'orca_cachestore_breaker_state{@, state="closed"}',
        "{{instance}} denied": "orca_cachestore_denied{@}",
      },
      "1 is good. 0: the store fails, and is not asked. Denied should be 0.",
    ),
    stack(
      "Reads",
      "ops",
      { "{{result}}": rateBy("result", "orca_cachestore_reads_total") },
      "The larger the part of hit, the better.",
    ),
    stack(
      "Commits",
      "ops",
      { "{{result}}": rateBy("result", "orca_cachestore_commits_total") },
      "Failed while the breaker is closed: the store is full, or slower than the origin.",
    ),
    lines(
      "Bytes read",
      "Bps",
      { read: rate("orca_cachestore_read_bytes_total") },
      "The origin did not send these.",
    ),
  ],
};

export const cacheRows: readonly RowSpec[] = [tiers, flights, copies, scrub, cachestore];
