/**
 * Which requests are sampled for distributed tracing, and the ids of their traces and spans. A client that sends a trace
 * context decides for itself. Of the other requests `tracing.sample_ratio` are sampled.
 */
import { hash } from "node:crypto";
import type { TraceContexts } from "../trace-contexts.ts";

export interface TraceSamplingOptions {
  readonly contexts: TraceContexts;
  /** `tracing.sample_ratio`: of the requests without a trace context of their own. */
  readonly sampleRatio: number;
  /** Unlike that of other replicas, threads and runs. */
  readonly salt: string;
}

export interface SampledTrace {
  readonly traceId: string;
  /** Of the span of the sender. Empty where it named none. */
  readonly clientId: string;
  readonly tracestate: string | undefined;
}

export class TraceSampling {
  readonly #options: TraceSamplingOptions;

  constructor(options: TraceSamplingOptions) {
    this.#options = options;
  }

  /** Undefined for a request that is not sampled. `mayBegin`: also for one without a context. */
  traceOf(requestId: string, mayBegin: boolean): SampledTrace | undefined {
    const { contexts, sampleRatio } = this.#options;
    const sent = contexts.get(requestId);
    if (sent) {
      const { traceId, parentId: clientId, tracestate, isSampled } = sent;
      return isSampled ? { traceId, clientId, tracestate } : undefined;
    }
    if (!mayBegin || sampleRatio === 0) return undefined;
    const traceId = this.#hashed(`trace ${requestId}`, 32);
    const isSampled = Number.parseInt(traceId.slice(0, 8), 16) < sampleRatio * 2 ** 32;
    return isSampled ? { traceId, clientId: "", tracestate: undefined } : undefined;
  }

  /** `name` is given once. */
  spanIdOf(name: string): string {
    return this.#hashed(`span ${name}`, 16);
  }

  #hashed(text: string, characters: number): string {
    return hash("sha256", `${this.#options.salt} ${text}`).slice(0, characters);
  }
}
