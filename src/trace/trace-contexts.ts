/**
 * The trace contexts of the latest requests, by request id. The id goes wherever a request goes: into flights, to peers and
 * to the origin. So the context is looked up where a call or a line leaves the process, and no call in between carries it.
 * A request without a context, which is nearly every one, costs nothing here.
 *
 * Invariant: the first context of an id stays, unless this replica makes a span of the request. A peer cannot change that
 * of another's request.
 */
import { LruMap } from "../base/lru-map.ts";
import type { StepSpans } from "./spans/span.ts";
import { parseTraceContext, type SentHeader, type TraceContext } from "./trace-context.ts";

/** As many as a replica serves at once, by default. At most 4 MiB; a request whose context is evicted goes on without it. */
const contextsMax = 4096;

export class TraceContexts {
  /** Undefined where no spans are made (`tracing`). Set once, before the first request. */
  spans: StepSpans | undefined;
  readonly #byRequest = new LruMap<string, TraceContext>({ entriesMax: contextsMax });

  get size(): number {
    return this.#byRequest.size;
  }

  /** Takes the headers of a request. Those that break the rules are ignored. */
  accept(requestId: string, traceparent: SentHeader, tracestate: SentHeader): void {
    if (traceparent === undefined || traceparent === null || this.#byRequest.peek(requestId)) return;
    const context = parseTraceContext(traceparent, tracestate);
    if (context) this.#byRequest.set(requestId, context);
  }

  get(requestId: string): TraceContext | undefined {
    return this.#byRequest.peek(requestId);
  }

  /** The spans of a sampled request are below `spanId` from now on, here and elsewhere. */
  continue(requestId: string, traceId: string, spanId: string): void {
    const traceparent = `00-${traceId}-${spanId}-01`;
    const tracestate = this.#byRequest.peek(requestId)?.tracestate;
    this.#byRequest.set(requestId, { traceId, parentId: spanId, isSampled: true, traceparent, tracestate });
  }

  /** The headers for a call on behalf of a request, or none. */
  headers(requestId: string | undefined): Readonly<Record<string, string>> {
    const context = requestId === undefined ? undefined : this.#byRequest.peek(requestId);
    if (!context) return {};
    const { traceparent, tracestate } = context;
    return tracestate === undefined ? { traceparent } : { traceparent, tracestate };
  }

  /** For a log line. */
  traceId(requestId: string): string | undefined {
    return this.#byRequest.peek(requestId)?.traceId;
  }

  /** The field of a log line, or none. */
  fields(requestId: string): { readonly traceId?: string } {
    const traceId = this.#byRequest.size === 0 ? undefined : this.traceId(requestId);
    return traceId === undefined ? {} : { traceId };
  }
}
