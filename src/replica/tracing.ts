/** Where the spans of sampled requests go (`tracing`). Nothing of it is loaded where no collector is configured. */
import type { Clock } from "../base/clock.ts";
import type { Logger } from "../base/logger.ts";
import type { Config } from "../config/config.ts";
import { RequestSpans } from "../trace/spans/request-spans.ts";
import { type SpanExporter, SpanQueue } from "../trace/spans/span-queue.ts";
import type { Trace } from "../trace/trace.ts";
import { type ReleaseStack, step } from "./release-stack.ts";

interface TracedReplica {
  readonly config: Pick<Config, "tracing">;
  readonly replicaId: string;
  readonly trace: Trace;
  readonly clock: Clock;
  readonly logger: Logger;
}

export class Tracing {
  readonly #exporterFor: (replicaId: string) => SpanExporter;

  /** Undefined where no collector is configured. */
  static async load({ tracing }: Pick<Config, "tracing">): Promise<Tracing | undefined> {
    const { otlpEndpoint } = tracing;
    if (otlpEndpoint === undefined) return undefined;
    const { loadOtlpExporter } = await import("../ops/tracing/otlp-exporter.ts");
    return new Tracing(await loadOtlpExporter(otlpEndpoint));
  }

  private constructor(exporterFor: (replicaId: string) => SpanExporter) {
    this.#exporterFor = exporterFor;
  }

  /** Makes spans of requests from now on. */
  start({ config, replicaId, trace, clock, logger }: TracedReplica, held: ReleaseStack): void {
    const sink = new SpanQueue(this.#exporterFor(replicaId), clock, logger);
    held.add(step("send the last spans", () => sink.close()));
    const { sampleRatio } = config.tracing;
    trace.contexts.spans = new RequestSpans({
      replicaId,
      sampleRatio,
      contexts: trace.contexts,
      sink,
      clock,
    });
  }
}
