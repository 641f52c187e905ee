/**
 * The access log: one line for each request that ended, or for those that were slow, or failed. Unlike the line about a slow
 * request (request-report.ts) it is not paced: it is meant to be whole. Its room in the buffer of the log bounds it
 * (log-buffer.ts), and each of its texts has a bound here, because clients write them.
 */

import type { ReadSource } from "../../fill/read-path.ts";
import type { TraceContexts } from "../../trace/trace-contexts.ts";
import type { Operation } from "../edge-stats.ts";
import type { EdgeRequest } from "../lane/edge-request.ts";
import { maskedQuery } from "./masked-query.ts";

export type AccessMode = "off" | "all" | "slow" | "errors";

export interface AccessLogOptions {
  readonly mode: AccessMode;
  /** `logging.slow_request`. */
  readonly slowRequestMs: number;
  readonly logger: AccessLogger;
  readonly traceContexts: TraceContexts;
}

/** The part of a logger that writes access lines. */
export interface AccessLogger {
  info(fields: object, message: string): void;
}

/** What the line needs and a request does not keep otherwise. Made only where the access log is on. */
export interface AccessRecord {
  /** Known while the connection lives. */
  readonly clientAddress: string | undefined;
  /** Of errors, listings and other small answers; the bytes of objects are the reader's. */
  bodyBytes: number;
  firstByteSeconds: number | undefined;
  /** Of the error that was sent, or that cut the body. */
  code: string | undefined;
}

/** An exchange, as the access log sees it. */
export interface AccessedRequest {
  readonly request: EdgeRequest;
  readonly requestId: string;
  readonly operation: Operation;
  readonly bucket: string;
  readonly key: string;
  readonly client: { readonly name: string } | undefined;
  readonly reader: { readonly takenBytes: number; readonly source: ReadSource | undefined } | undefined;
}

export interface AccessEnd {
  readonly status: number;
  readonly seconds: number;
  readonly complete: boolean;
}

/** Longest texts in characters. S3's own bounds where it has some. */
const bucketMax = 255;
const keyMax = 1024;
const identityMax = 128;
const headerMax = 256;

export class AccessLog {
  readonly #options: AccessLogOptions;

  private constructor(options: AccessLogOptions) {
    this.#options = options;
  }

  /** Undefined where no line is ever written. */
  static of(options: AccessLogOptions): AccessLog | undefined {
    return options.mode === "off" ? undefined : new AccessLog(options);
  }

  begin({ socket }: EdgeRequest): AccessRecord {
    return {
      clientAddress: socket.remoteAddress,
      bodyBytes: 0,
      firstByteSeconds: undefined,
      code: undefined,
    };
  }

  end(accessed: AccessedRequest, record: AccessRecord, end: AccessEnd): void {
    if (!this.#isWanted(end)) return;
    const { request, requestId, operation, bucket, key, client, reader } = accessed;
    const { headers, method, url = "" } = request;
    const fields = {
      log: "access",
      requestId,
      traceId: this.#options.traceContexts.traceId(requestId),
      client: record.clientAddress,
      forwardedFor: bounded(headers["x-forwarded-for"] as string | undefined, headerMax),
      identity: bounded(client?.name, identityMax),
      method,
      operation,
      bucket: bounded(bucket, bucketMax),
      key: bounded(key, keyMax),
      query: maskedQuery(url) || undefined,
      range: bounded(headers.range, headerMax),
      status: end.status,
      code: record.code,
      complete: end.complete,
      bytes: record.bodyBytes + (reader?.takenBytes ?? 0),
      durationMs: milliseconds(end.seconds),
      firstByteMs: record.firstByteSeconds && milliseconds(record.firstByteSeconds),
      source: reader?.source,
      userAgent: bounded(headers["user-agent"], headerMax),
    };
    this.#options.logger.info(fields, end.complete ? "Answered a request" : "A client got no whole answer");
  }

  #isWanted({ status, seconds, complete }: AccessEnd): boolean {
    const { mode, slowRequestMs } = this.#options;
    if (mode === "errors") return status >= 400 || !complete;
    return mode === "all" || seconds * 1000 > slowRequestMs;
  }
}

/** Undefined, which prints no field, for an empty text. */
function bounded(text: string | undefined, charactersMax: number): string | undefined {
  if (text === undefined || text === "") return undefined;
  const shown = text.length > charactersMax ? `${text.slice(0, charactersMax)}…` : text;
  return shown.isWellFormed() ? shown : shown.toWellFormed();
}

/** To the microsecond. */
function milliseconds(seconds: number): number {
  return Math.round(seconds * 1e6) / 1000;
}
