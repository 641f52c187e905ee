/**
 * Sends spans to a collector by OTLP over HTTP, in JSON. The packages of OpenTelemetry are loaded only where a collector
 * is configured (docs/decisions/0059-spans-are-made-of-the-steps-of-a-request.md).
 */
import type { OTLPTraceExporter as Exporter } from "@opentelemetry/exporter-trace-otlp-http";
import type { Span, SpanKind } from "../../trace/spans/span.ts";
import type { SpanExporter } from "../../trace/spans/span-queue.ts";

/** For a batch, with repetitions. */
const sendTimeoutMs = 10_000;

/** As OpenTelemetry numbers them. */
const kinds: Readonly<Record<SpanKind, number>> = { internal: 0, server: 1, client: 2 };
const statusError = 2;
const statusUnset = 0;
const sampled = 1;

/** `endpoint`: of the collector, to which the path `/v1/traces` is added. Resolves with what makes the exporter. */
export async function loadOtlpExporter(endpoint: string): Promise<(replicaId: string) => SpanExporter> {
  const { OTLPTraceExporter } = await import("@opentelemetry/exporter-trace-otlp-http");
  const url = `${endpoint.replace(/\/$/, "")}/v1/traces`;
  return (replicaId) => {
    const exporter = new OTLPTraceExporter({ url, timeoutMillis: sendTimeoutMs, concurrencyLimit: 1 });
    // Shared by all spans: the exporter groups them by these two.
    const resource = { attributes: { "service.name": "orca", "service.instance.id": replicaId } };
    const common = { resource, instrumentationScope: { name: "orca" } };
    return {
      send: (spans) =>
        new Promise((resolve, reject) => {
          const batch = spans.map((span) => ({ ...common, ...readable(span) }));
          exporter.export(batch as unknown as Parameters<Exporter["export"]>[0], ({ error }) => {
            if (error) reject(error);
            else resolve();
          });
        }),
      close: () => exporter.shutdown(),
    };
  };
}

function readable(span: Span) {
  const { traceId, spanId, parentId, name, kind, startMs, endMs, attributes, isError } = span;
  const contextOf = (id: string) => ({ traceId, spanId: id, traceFlags: sampled });
  return {
    name,
    kind: kinds[kind],
    spanContext: () => contextOf(spanId),
    ...(parentId !== "" && { parentSpanContext: contextOf(parentId) }),
    startTime: timeOf(startMs),
    endTime: timeOf(endMs),
    duration: timeOf(endMs - startMs),
    status: { code: isError ? statusError : statusUnset },
    attributes,
    links: [],
    events: [],
    ended: true,
    droppedAttributesCount: 0,
    droppedEventsCount: 0,
    droppedLinksCount: 0,
  };
}

/** Seconds and nanoseconds. */
function timeOf(ms: number): [number, number] {
  const seconds = Math.floor(ms / 1000);
  return [seconds, Math.round((ms - seconds * 1000) * 1e6)];
}
