/** Rows of the dashboard about what fails and what is used up. */
import { lines, type RowSpec, rate, rateBy, stack } from "./panel.ts";

const errors: RowSpec = {
  title: "Errors by code",
  panels: [
    stack(
      "Answers that are errors, by status",
      "reqps",
      { "{{status}}": 'sum by (status) (rate(orca_requests_total{@, status=~"[45].."}[$__rate_interval]))' },
      "404 and 412 are often normal, 499 is a client that left. 5xx should be 0. The log has the code of each.",
    ),
    stack(
      "Denied, by code",
      "reqps",
      { "{{code}}": rateBy("code", "orca_requests_denied_total") },
      "Only with server.auth.",
    ),
    stack(
      "Errors of origins, by code",
      "reqps",
      { "{{origin}} {{code}}": rateBy("origin, code", "orca_origin_errors_total") },
      "origin_denied: Orca's credentials or rights.",
    ),
    lines(
      "Errors of disks, by code",
      "cps",
      {
        "{{instance}} {{code}}": rateBy("instance, code", "orca_disk_errors_total"),
        "{{instance}} damaged": rateBy("instance", "orca_disk_damaged_total"),
      },
      "Should be 0.",
    ),
    lines(
      "Responses that did not complete",
      "cps",
      {
        "cut by Orca": rate("orca_bodies_cut_total"),
        "client left": rate("orca_clients_gone_total"),
        "client stalled": rate("orca_clients_stalled_total"),
        "client slow": rate("orca_clients_slow_total"),
      },
      "Orca should cut none.",
    ),
  ],
};

const resources: RowSpec = {
  title: "Resources",
  panels: [
    lines(
      "Processor",
      "percentunit",
      { "{{instance}}": rateBy("instance", "process_cpu_seconds_total") },
      "1 is a core. The main thread takes one at most; other threads serve clients and the disk.",
    ),
    lines(
      "Threads that serve, busy",
      "percentunit",
      {
        "{{instance}} {{thread}}":
          "sum by (instance, thread) (rate(orca_thread_busy_seconds_total{@}[$__rate_interval]))",
      },
      "At 1 a thread is full. One that serves clients is full alone where few connections carry all requests; where main is full, add replicas.",
    ),
    lines(
      "Event loop, 99 % of its delays",
      "s",
      { "{{instance}}": "nodejs_eventloop_lag_p99_seconds{@}" },
      "Above 0.1 the main thread is full: add replicas.",
    ),
    lines(
      "Resident memory",
      "bytes",
      { "{{instance}}": "process_resident_memory_bytes{@}" },
      "memory.max_bytes and what the process itself needs.",
    ),
    lines(
      "Heap of JavaScript",
      "bytes",
      { "{{instance}}": "nodejs_heap_size_used_bytes{@}" },
      "Metadata and listings are here.",
    ),
    lines(
      "File descriptors",
      "percentunit",
      { "{{instance}}": "process_open_fds{@} / process_max_fds{@}" },
      "Raise the limit of open files above 0.8.",
    ),
    lines(
      "Lines of the log dropped",
      "cps",
      {
        "{{instance}}": rateBy("instance", "orca_log_lines_dropped_total"),
        "{{instance}} access log": rateBy("instance", "orca_access_log_lines_dropped_total"),
      },
      "Should be 0: the reader of the log stalls, or is slower than the requests.",
    ),
  ],
};

export const healthRows: readonly RowSpec[] = [errors, resources];
