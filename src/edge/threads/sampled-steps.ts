/**
 * The spans of a thread of the edge (trace/spans/). The engine makes all spans of a request, because most of its steps
 * happen there. The thread decides which requests are sampled, chooses the ids of their traces, and sends their steps on:
 * on the way of its questions, so that they keep their order. A step has the time at which the engine learns of it.
 *
 * Invariant: at most {@link requestsMax} sampled requests are remembered. What is forgotten sends no more steps.
 */
import { LruMap } from "../../base/lru-map.ts";
import type { StepFields, StepSpans } from "../../trace/spans/span.ts";
import { TraceSampling, type TraceSamplingOptions } from "../../trace/spans/trace-sampling.ts";
import type { TraceStep } from "../../trace/trace-steps.ts";
import type { EngineLink } from "./engine-link.ts";

export interface SampledStepsOptions extends TraceSamplingOptions {
  readonly link: Pick<EngineLink, "tell">;
}

const requestsMax = 2048;

export class SampledSteps implements StepSpans {
  readonly #options: SampledStepsOptions;
  readonly #sampling: TraceSampling;
  readonly #sampled = new LruMap<string, true>({ entriesMax: requestsMax });

  constructor(options: SampledStepsOptions) {
    this.#options = options;
    this.#sampling = new TraceSampling(options);
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
    const trace = this.#sampling.traceOf(requestId, true);
    if (!trace) return;
    const { link, contexts } = this.#options;
    const spanId = this.#sampling.spanIdOf(requestId);
    this.#sampled.set(requestId, true);
    link.tell({ kind: "sampled", requestId, spanId, ...trace });
    contexts.continue(requestId, trace.traceId, spanId);
  }
}
