/** Metrics of what people run Orca with: the log, the calls that stall, and the ops listener. */
import type { SpanSink } from "../../trace/spans/span.ts";
import type { StallWatch } from "../../trace/stalls/stall-watch.ts";
import { labelled, type MetricsRegistry } from "./metrics.ts";

export interface LogCounters {
  readonly linesDropped: number;
  readonly accessLinesDropped: number;
}

/** `threads` are the lines that other threads could not pass on. */
export function registerLogMetrics(
  metrics: MetricsRegistry,
  log: LogCounters,
  threads: () => number = () => 0,
): void {
  metrics.counter(
    "orca_log_lines_dropped_total",
    {
      meaning: "Lines of the log that were dropped because it could not be written in time.",
      watch: "Should not grow: the reader of the log stalls, or its disk is full.",
    },
    () => log.linesDropped + threads(),
  );
  metrics.counter(
    "orca_access_log_lines_dropped_total",
    {
      meaning:
        "Lines of the access log (logging.access) that were dropped because half of the log's buffer was full.",
      watch:
        "Should not grow: the reader of the log is slower than the requests. Use logging.access errors, or a faster reader.",
    },
    () => log.accessLinesDropped,
  );
}

export interface OpsCounters {
  readonly connections: number;
  readonly stats: { readonly closedForRoom: number };
}

export function registerOpsMetrics(metrics: MetricsRegistry, ops: OpsCounters): void {
  metrics.gauge(
    "orca_ops_connections",
    { meaning: "Open connections to the ops listener.", watch: "At 64, a new one closes one that rests." },
    () => ops.connections,
  );
  metrics.counter(
    "orca_ops_connections_closed_total",
    {
      meaning: "Connections to the ops listener that were closed to make room for a new one.",
      watch: "Should not grow: somebody opens connections and does not use them.",
    },
    () => ops.stats.closedForRoom,
  );
}

export type StallCounters = Pick<StallWatch, "stats">;

export function registerStallMetrics(metrics: MetricsRegistry, { stats }: StallCounters): void {
  metrics.counter(
    "orca_calls_stalled_total",
    {
      meaning:
        "Calls to the origin, the disk, the cachestore or a peer (pulls of copies) that took ten times as long as 99 % of the latest ones, and 5 s at least.",
      watch: "Should not grow. The log line call_stalled says what waited for the call.",
    },
    () => labelled("place", stats.stalls),
  );
  metrics.gauge(
    "orca_calls_stalled",
    { meaning: "Of these, those that still run.", watch: "Above 0 for minutes: look at that place." },
    () => labelled("place", stats.running),
  );
}

/** `busySeconds`: by thread, the main thread's among them. */
export function registerThreadMetrics(
  metrics: MetricsRegistry,
  busySeconds: () => Record<string, number>,
): void {
  metrics.counter(
    "orca_thread_busy_seconds_total",
    {
      meaning:
        "Time in which the event loop of a thread did not wait for work: of main, and with server.threads above 1 of each thread that serves clients (orca-edge-1 and so on).",
      watch:
        "A thread with a rate near 1 is full, and its clients wait. Where main alone is full, add replicas. Where one that serves clients is, look at orca_edge_thread_connections. It includes the time in which a thread waits for a core: where orca_edge_thread_cpu_seconds_total grows much more slowly, other programs take the cores.",
    },
    () => labelled("thread", busySeconds()),
  );
}

export interface EdgeThreadCounters {
  readonly name: string;
  readonly cpuSeconds: number;
  readonly connections: number;
}

/** At most 16 threads (`server.threads`). */
export function registerEdgeThreadMetrics(
  metrics: MetricsRegistry,
  threads: () => readonly EdgeThreadCounters[],
): void {
  metrics.counter(
    "orca_edge_thread_cpu_seconds_total",
    {
      meaning:
        "CPU time of each thread that serves clients. Only with server.threads above 1. process_cpu_seconds_total is the time of all threads.",
      watch:
        "A thread that takes a second of it in a second is full. The rest of the process's time is the main thread's, of which there is one, and of those for the disk: more threads help as long as that rest is small.",
    },
    () => labelled("thread", Object.fromEntries(threads().map(({ name, cpuSeconds }) => [name, cpuSeconds]))),
  );
  metrics.gauge(
    "orca_edge_thread_connections",
    {
      meaning: "Connections of clients, by the thread that serves them. Only with server.threads above 1.",
      watch:
        "A connection stays with its thread. Where few busy connections share one thread while others rest, let clients open more of them.",
    },
    () =>
      labelled("thread", Object.fromEntries(threads().map(({ name, connections }) => [name, connections]))),
  );
}

const noSpans: Pick<SpanSink, "stats" | "waiting"> = {
  stats: { sent: 0, dropped: 0, failed: 0 },
  waiting: 0,
};

/** `read`: undefined until the first request is traced. */
export function registerSpanMetrics(
  metrics: MetricsRegistry,
  read: () => Pick<SpanSink, "stats" | "waiting"> | undefined,
): void {
  metrics.counter(
    "orca_spans_total",
    {
      meaning:
        "Spans of traced requests, by result: sent, dropped (too many waited for the collector), failed (the collector did not take them).",
      watch: "dropped and failed should not grow: look at the collector, or lower tracing.sample_ratio.",
    },
    () => labelled("result", { ...(read() ?? noSpans).stats }),
  );
  metrics.gauge(
    "orca_spans_waiting",
    { meaning: "Spans that wait to be sent.", watch: "At 4,096 spans are dropped." },
    () => (read() ?? noSpans).waiting,
  );
}
