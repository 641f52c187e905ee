/** Metrics of the clients' side: requests, responses, and the certificate that clients see. */
import type { Histogram } from "../../base/histogram.ts";
import type { ErrorCode } from "../../base/orca-error.ts";
import type { ReaderMemory } from "../../base/reader-memory.ts";
import { type LabelledHistogram, labelled, type MetricsRegistry } from "./metrics.ts";

/** The numbers of the edge. This layer may not import it, and knows it by its shape. */
export interface EdgeCounters {
  readonly requests: Readonly<Record<string, ReadonlyMap<number, number>>>;
  readonly firstByteSeconds: Readonly<Record<string, Histogram>>;
  readonly totalSeconds: Readonly<Record<string, Histogram>>;
  readonly errors: ReadonlyMap<ErrorCode, number>;
  readonly servedBytes: ReadonlyMap<string, number>;
  readonly bodiesCut: number;
  readonly clientsGone: number;
  readonly clientsStalled: number;
  readonly clientsSlow: number;
  readonly requestsSlow: number;
  readonly requestsMalformed: number;
  readonly handshakesFailed: number;
}

/** A certificate and the files that it is loaded from. */
export interface TlsCounters {
  readonly expiresMs: number;
  readonly stats: { readonly reloads: number; readonly reloadFailures: number };
}

/** Where clients connect. */
export interface ListenerCounters {
  readonly connections: number;
  readonly requestsInFlight: number;
  readonly requestsPipelined: number;
  readonly pipelinesCut: number;
}

export interface ClientParts {
  readonly edge: EdgeCounters;
  readonly listener: ListenerCounters;
  /** Accepts that failed, by the name of the listener. */
  readonly acceptErrors: () => Readonly<Record<string, number>>;
  readonly readPath: {
    readonly sentBytes: Readonly<Record<string, number>>;
    readonly readerMemory: Pick<ReaderMemory, "heldBytes" | "waiting" | "stats">;
  };
  /** Undefined for plain HTTP. */
  readonly tls: TlsCounters | undefined;
}

export function registerClientMetrics(metrics: MetricsRegistry, parts: ClientParts): void {
  registerConnections(metrics, parts);
  registerRequests(metrics, parts);
  registerRequestTimes(metrics, parts);
  registerResponses(metrics, parts);
  registerReaderMemory(metrics, parts);
  if (parts.tls) registerTls(metrics, parts.tls, parts.edge);
}

function registerConnections(metrics: MetricsRegistry, { listener, acceptErrors }: ClientParts): void {
  metrics.gauge(
    "orca_client_connections",
    {
      meaning: "Open connections of clients, those in a TLS handshake included.",
      watch: "At server.max_connections further ones are closed at once.",
    },
    () => listener.connections,
  );
  metrics.counter(
    "orca_accept_errors_total",
    {
      meaning:
        "Connections that a listener (s3, ops, mesh) could not accept for want of descriptors or memory. It closes new ones for a moment.",
      watch: "Should not grow. The system hides most of them: compare process_open_fds with process_max_fds.",
    },
    () => labelled("listener", acceptErrors()),
  );
}

function registerRequests(metrics: MetricsRegistry, { edge, listener }: ClientParts): void {
  metrics.counter(
    "orca_requests_total",
    {
      meaning:
        "Requests that ended, by HTTP status and operation: get_object, head_object, list_objects, head_bucket, list_buckets, bucket_location, bucket_configuration, object_configuration (sub-resources such as ?acl), preflight, rejected (none of these, an unknown bucket, or over server.max_requests). Status 499: the client left before the answer.",
      watch: "Alert on 5xx.",
    },
    function* () {
      for (const [operation, byStatus] of Object.entries(edge.requests)) {
        for (const [status, value] of byStatus)
          yield { labels: { operation, status: String(status) }, value };
      }
    },
  );
  metrics.gauge(
    "orca_requests_in_flight",
    {
      meaning: "Requests being answered.",
      watch: "At server.max_requests further requests get 503 SlowDown.",
    },
    () => listener.requestsInFlight,
  );
  metrics.gauge(
    "orca_requests_pipelined",
    {
      meaning: "Requests that wait until the earlier ones on their connection are answered.",
      watch: "0 with S3 clients, which wait for an answer before they send the next request.",
    },
    () => listener.requestsPipelined,
  );
  metrics.counter(
    "orca_pipelines_cut_total",
    {
      meaning: "Connections cut because more than server.max_requests requests waited for their turn.",
      watch: "Should not grow: a client floods.",
    },
    () => listener.pipelinesCut,
  );
  metrics.counter(
    "orca_requests_malformed_total",
    {
      meaning: "Requests that could not be read as HTTP.",
      watch: "Should stay low. Growth: something other than an S3 client connects.",
    },
    () => edge.requestsMalformed,
  );
}

function registerRequestTimes(metrics: MetricsRegistry, { edge }: ClientParts): void {
  metrics.counter(
    "orca_requests_slow_total",
    {
      meaning:
        "Requests that took longer than logging.slow_request. The log has a line for some of them, with what they waited for.",
      watch: "Growth: see the lines, in docs/operations/debugging-a-fill.md.",
    },
    () => edge.requestsSlow,
  );
  metrics.histogram(
    "orca_first_byte_seconds",
    {
      meaning: "Time until Orca had the first byte of an object, by source (see orca_bytes_sent_total).",
      watch: "Lower is better.",
    },
    () => histograms("source", edge.firstByteSeconds),
  );
  metrics.histogram(
    "orca_request_seconds",
    {
      meaning: "Time until a response ended, by operation. It includes the time that a slow client takes.",
      watch: "Lower is better.",
    },
    () => histograms("operation", edge.totalSeconds),
  );
}

function registerResponses(metrics: MetricsRegistry, { edge, readPath }: ClientParts): void {
  metrics.counter(
    "orca_bytes_sent_total",
    {
      meaning:
        "Object bytes sent to clients, by source: memory, disk, cachestore, peer (another replica), origin (this reader started the fetch), join (another reader had started it).",
      watch: "The smaller the part of origin, the better.",
    },
    () => labelled("source", readPath.sentBytes),
  );
  metrics.counter(
    "orca_served_bytes_total",
    {
      meaning:
        "Object bytes sent to clients, by the origin of the object; counted when a response has ended, where orca_bytes_sent_total counts as bytes are sent.",
      watch: "With orca_origin_bytes_total, what the cache saves at each origin.",
    },
    () => [...edge.servedBytes].map(([origin, value]) => ({ labels: { origin }, value })),
  );
  metrics.counter(
    "orca_request_errors_total",
    {
      meaning: "Requests answered with an error, or cut short by one, by its code.",
      watch: "docs/operations/errors.md says what each code means and what to do.",
    },
    () => [...edge.errors].map(([code, value]) => ({ labels: { code }, value })),
  );
  metrics.counter(
    "orca_bodies_cut_total",
    {
      meaning: "Responses that Orca cut off after the first byte, because it could not get the rest.",
      watch: "Should not grow: the origin failed, or the object changed.",
    },
    () => edge.bodiesCut,
  );
  metrics.counter(
    "orca_clients_gone_total",
    {
      meaning: "Responses that did not complete because the client left or was cut off as stalled.",
      watch: "Depends on the clients.",
    },
    () => edge.clientsGone,
  );
  metrics.counter(
    "orca_clients_stalled_total",
    {
      meaning: "Clients cut off because they took no byte for server.client_stall_timeout.",
      watch: "Depends on the clients.",
    },
    () => edge.clientsStalled,
  );
  metrics.counter(
    "orca_clients_slow_total",
    {
      meaning: "Clients cut off because they took their bytes more slowly than server.client_min_rate.",
      watch: "Depends on the clients.",
    },
    () => edge.clientsSlow,
  );
}

function registerReaderMemory(metrics: MetricsRegistry, { readPath: { readerMemory } }: ClientParts): void {
  metrics.gauge(
    "orca_memory_held_by_readers_bytes",
    {
      meaning: "Memory with bytes that clients and peers have not taken yet.",
      watch: "At most half of orca_memory_max_bytes. Near that for minutes: clients are slow.",
    },
    () => readerMemory.heldBytes,
  );
  metrics.gauge(
    "orca_readers_waiting",
    {
      meaning: "Readers that wait because others hold half of the memory.",
      watch: "Should be 0. Raise memory.max_bytes or server.client_min_rate, or lower server.max_requests.",
    },
    () => readerMemory.waiting,
  );
  metrics.counter(
    "orca_slices_copied_total",
    {
      meaning: "Slices of 64 KiB that were copied because readers held a quarter of the memory.",
      watch: "Growth costs CPU: clients are slow, or memory is small for their number.",
    },
    () => readerMemory.stats.copies,
  );
}

function registerTls(metrics: MetricsRegistry, tls: TlsCounters, edge: EdgeCounters): void {
  metrics.counter(
    "orca_tls_handshakes_failed_total",
    {
      meaning:
        "Connections of clients whose TLS handshake failed, or did not end within server.header_timeout. Only with server.tls.",
      watch: "Should stay low. Growth: a wrong certificate, or something other than a TLS client connects.",
    },
    () => edge.handshakesFailed,
  );
  metrics.gauge(
    "orca_tls_certificate_expiry_timestamp_seconds",
    {
      meaning: "When the certificate that clients see expires, as Unix time. Only with server.tls.",
      watch: "Alert weeks before.",
    },
    () => tls.expiresMs / 1000,
  );
  metrics.counter(
    "orca_tls_reloads_total",
    { meaning: "Times a changed certificate was loaded.", watch: "Grows by one at each renewal." },
    () => tls.stats.reloads,
  );
  metrics.counter(
    "orca_tls_reload_failures_total",
    {
      meaning: "Times the files of the certificate held no usable pair. The old certificate stays in use.",
      watch: "Should not grow.",
    },
    () => tls.stats.reloadFailures,
  );
}

function histograms(label: string, byName: Readonly<Record<string, Histogram>>): LabelledHistogram[] {
  return Object.entries(byName).map(([name, histogram]) => ({ labels: { [label]: name }, histogram }));
}
