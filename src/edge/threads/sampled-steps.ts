/**
 * The spans of a thread of the edge (trace/spans/). The engine makes all spans of a request, because most of its steps
 * happen there. The thread decides which requests are sampled, chooses the ids of their traces, and sends their steps on:
 * on the way of its questions, so that they keep their order. A step has the time at which the engine learns of it.
 *
 * Invariant: at most {@link requestsMax} sampled requests are remembered. What is forgotten sends no more steps.
 */
import { hash } from "node:crypto";
import { LruMap } from "../../base/lru-map.ts";
import type { StepFields, StepSpans } from "../../trace/spans/span.ts";
import type { TraceContexts } from "../../trace/trace-contexts.ts";
import type { TraceStep } from "../../trace/trace-steps.ts";
import type { EngineLink } from "./engine-link.ts";

export interface SampledStepsOptions {
  readonly link: Pick<EngineLink, "tell">;
  readonly contexts: TraceContexts;
  /** `tracing.sample_ratio`: of the requests without a trace context of their own. */
  readonly sampleRatio: number;
  /** Unlike that of other replicas, threads and runs. */
  readonly salt: string;
}

const requestsMax = 2048;

export class SampledSteps implements StepSpans {
  readonly #options: SampledStepsOptions;
  readonly #sampled = new LruMap<string, true>({ entriesMax: requestsMax });

  constructor(options: SampledStepsOptions) {
    this.#options = options;
  }

  step(step: TraceStep, requestId: string, fields: StepFields): void {
    if (step === "request") this.#begin(requestId);
    else if (this.#sampled.peek(requestId))
      this.#options.link.tell({ kind: "step", step, requestId, fields });
  }

  responded(requestId: string, fields: StepFields): void {
    if (this.#sampled.delete(requestId)) this.#options.link.tell({ kind: "responded", requestId, fields });
  }

  #begin(requestId: string): void {
    const { link, contexts, sampleRatio } = this.#options;
    const sent = contexts.get(requestId);
    if (!sent && sampleRatio === 0) return;
    const traceId = sent?.traceId ?? this.#hashed(`trace ${requestId}`, 32);
    const isSampled = sent
      ? sent.isSampled
      : Number.parseInt(traceId.slice(0, 8), 16) < sampleRatio * 2 ** 32;
    if (!isSampled) return;
    const spanId = this.#hashed(`span ${requestId}`, 16);
    const { tracestate } = sent ?? {};
    this.#sampled.set(requestId, true);
    link.tell({ kind: "sampled", requestId, traceId, spanId, clientId: sent?.parentId ?? "", tracestate });
    contexts.continue(requestId, traceId, spanId);
  }

  #hashed(text: string, characters: number): string {
    return hash("sha256", `${this.#options.salt} ${text}`).slice(0, characters);
  }
}
