/** Metrics of what people run Orca with: the log. */
import type { MetricsRegistry } from "./metrics.ts";

export interface LogCounters {
  readonly linesDropped: number;
}

export function registerLogMetrics(metrics: MetricsRegistry, log: LogCounters): void {
  metrics.counter(
    "orca_log_lines_dropped_total",
    {
      meaning: "Lines of the log that were dropped because it could not be written in time.",
      watch: "Should not grow: the reader of the log stalls, or its disk is full.",
    },
    () => log.linesDropped,
  );
}
