/** A span of a distributed trace, as OpenTelemetry knows it, when it has ended. */

import type { TraceStep } from "../trace-steps.ts";

export type SpanKind = "server" | "client" | "internal";

export interface Span {
  /** 32 and 16 hex characters in lower case. */
  readonly traceId: string;
  readonly spanId: string;
  /** Empty for the first span of a trace. */
  readonly parentId: string;
  readonly name: string;
  readonly kind: SpanKind;
  /** Milliseconds since the epoch, with fractions. */
  readonly startMs: number;
  readonly endMs: number;
  readonly attributes: Readonly<Record<string, string | number | boolean>>;
  readonly isError: boolean;
}

export interface SpanSink {
  /** Of spans that ended: sent, dropped because too many waited, and not taken by the collector. */
  readonly stats: { readonly sent: number; readonly dropped: number; readonly failed: number };
  readonly waiting: number;
  ended(span: Span): void;
}

export interface SampledElsewhere {
  readonly requestId: string;
  readonly traceId: string;
  /** Of the span of the request. */
  readonly spanId: string;
  /** Of the span of the client. Empty where it named none. */
  readonly clientId: string;
}

/** Receives the steps of all requests, and makes spans of those that are sampled (request-spans.ts). */
export interface StepSpans {
  /** Where spans go that have ended. Undefined where another thread makes them. */
  readonly sink?: SpanSink;
  /** Begins the spans of a request of a client that another thread has sampled. */
  begin?(request: SampledElsewhere): void;
  step(step: TraceStep, requestId: string, fields: StepFields): void;
  /** The response to a client has ended. */
  responded(requestId: string, fields: StepFields): void;
}

/** Of a step, as trace-steps.ts names them. */
export type StepFields = Readonly<Record<string, unknown>>;
