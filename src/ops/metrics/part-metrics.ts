/** Metrics of what is known of the parts of objects (`partNumber`). */
import type { PartTables } from "../../object/parts/part-tables.ts";
import type { MetricsRegistry } from "./metrics.ts";

/** By origin id. */
export type PartCounters = ReadonlyMap<string, Pick<PartTables, "size" | "bytes" | "stats">>;

export function registerPartMetrics(metrics: MetricsRegistry, parts: PartCounters): void {
  metrics.counter(
    "orca_part_lookups_total",
    {
      meaning:
        "Look-ups of where a part of an object lies, by result: hit, miss (the origin or the coordinator was asked), join (it was being asked).",
      watch: "The smaller the part of miss, the better. A miss costs the origin a HEAD.",
    },
    function* () {
      for (const [origin, { stats }] of parts) {
        yield { labels: { origin, result: "hit" }, value: stats.hits };
        yield { labels: { origin, result: "miss" }, value: stats.misses };
        yield { labels: { origin, result: "join" }, value: stats.joins };
      }
    },
  );
  metrics.gauge(
    "orca_part_tables",
    {
      meaning: "Versions of objects of which parts are known.",
      watch: "At metadata.max_entries some are forgotten.",
    },
    () => [...parts].map(([origin, { size }]) => ({ labels: { origin }, value: size })),
  );
  metrics.gauge(
    "orca_part_table_bytes",
    {
      meaning: "Heap that these tables take.",
      watch: "It is a part of the bound on all metadata, as orca_directory_bytes is.",
    },
    () => [...parts].map(([origin, { bytes }]) => ({ labels: { origin }, value: bytes })),
  );
}
