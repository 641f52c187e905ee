/**
 * The line about a request that was slow or failed: what it waited for, and how long. It tells "the origin was slow" from
 * "the client was slow" without a second look. Lines are paced by kind, because an origin that is slow is slow for
 * thousands of requests; the next line says how many were left out.
 */
import type { Clock } from "../base/clock.ts";
import type { LogPace } from "../base/log-pace.ts";
import type { Logger } from "../base/logger.ts";
import type { BodyReader } from "../fill/bodies.ts";
import type { TraceContexts } from "../trace/trace-contexts.ts";
import type { Waits } from "../trace/waits.ts";
import type { ClientPace } from "./client-pace.ts";
import type { Operation } from "./edge-stats.ts";

export interface RequestReportOptions {
  readonly logger: Logger;
  readonly clock: Clock;
  readonly pace: Pick<LogPace, "take">;
  readonly traceContexts: TraceContexts;
}

/** An exchange, as the report sees it. */
export interface ReportedRequest {
  readonly requestId: string;
  readonly operation: Operation;
  readonly bucket: string;
  readonly key: string;
  readonly waits: Waits | undefined;
  readonly reader: Pick<BodyReader, "range" | "takenBytes" | "source"> | undefined;
  readonly pace: Pick<ClientPace, "waitedMs">;
}

/** How a request ended. */
export interface RequestEnd {
  readonly status: number;
  readonly totalMs: number;
  readonly complete: boolean;
  /** The code of its error, if it failed. */
  readonly failure: string | undefined;
}

export class RequestReport {
  readonly #options: RequestReportOptions;

  constructor(options: RequestReportOptions) {
    this.#options = options;
  }

  log(request: ReportedRequest, end: RequestEnd): void {
    const { logger, clock, pace, traceContexts } = this.#options;
    const { requestId, operation, bucket, key, reader, waits } = request;
    const { failure, status, complete } = end;
    const suppressed = pace.take(failure === undefined ? `slow ${operation}` : `failed ${failure}`);
    if (!suppressed) return;
    const [start, rangeEnd] = reader?.range ?? [];
    const fields = {
      requestId,
      ...traceContexts.fields(requestId),
      operation,
      bucket,
      key,
      status,
      ...(failure !== undefined && { code: failure }),
      complete,
      totalMs: Math.round(end.totalMs),
      ...splitOf(waits),
      clientMs: Math.round(request.pace.waitedMs(clock.monotonic())),
      bytes: reader?.takenBytes ?? 0,
      ...(start !== undefined && rangeEnd !== undefined && { range: `${start}-${rangeEnd - 1}` }),
      tier: reader?.source,
      coordinator: waits?.coordinator,
      retries: waits?.retries ?? 0,
      ...suppressed,
    };
    logger.info(fields, failure === undefined ? "A request was slow" : "A request failed");
  }
}

function splitOf(waits: Waits | undefined): Readonly<Record<string, number>> {
  return {
    metadataMs: rounded(waits?.ms.metadata),
    memoryMs: rounded(waits?.ms.memory),
    permitMs: rounded(waits?.ms.permit),
    diskMs: rounded(waits?.ms.disk),
    firstByteMs: rounded(waits?.ms.firstByte),
    bodyMs: rounded(waits?.ms.body),
  };
}

function rounded(timeMs: number | undefined): number {
  return Math.round(timeMs ?? 0);
}
