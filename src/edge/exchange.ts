/**
 * One request and its response, from the first header to the last byte: its id, its start, its operation. Every response
 * ends here, however it ends, so that counting and releasing happen in one place.
 */
import { ServerResponse } from "node:http";
import type { Clock } from "../base/clock.ts";
import { errorTable } from "../base/error-table.ts";
import type { Histogram } from "../base/histogram.ts";
import { Linked, type LinkedList } from "../base/linked-list.ts";
import type { LogPace } from "../base/log-pace.ts";
import type { Logger } from "../base/logger.ts";
import { OrcaError } from "../base/orca-error.ts";
import { type Page, pages } from "../base/pages.ts";
import type { BodyReader } from "../fill/bodies.ts";
import type { StepSpans } from "../trace/spans/span.ts";
import type { Asker } from "../trace/trace.ts";
import type { TraceContexts } from "../trace/trace-contexts.ts";
import { type Wait, Waits } from "../trace/waits.ts";
import type { AccessLog, AccessRecord } from "./access-log/access-log.ts";
import { accessDenied } from "./auth/auth-error.ts";
import type { ClientAccess } from "./auth/client-access.ts";
import type { Identity } from "./auth/identity.ts";
import { ClientPace, type PaceLimit } from "./client-pace.ts";
import type { EdgeStats, Operation } from "./edge-stats.ts";
import {
  type ErrorContext,
  errorResponse,
  type RelayedError,
  relayedErrorResponse,
} from "./error-response.ts";
import { flatOf } from "./headers/header-lines.ts";
import type { EdgeRequest, EdgeResponse } from "./lane/edge-request.ts";
import type { RequestReport } from "./request-report.ts";

/** The status counted for a request whose client left before the answer. nginx uses the same number. */
const clientGoneStatus = 499;

export interface ExchangeContext {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly stats: EdgeStats;
  /** Of failures, by code, source and message. A line that it leaves out is logged at level debug. */
  readonly failures: Pick<LogPace, "take">;
  readonly paceLimit: PaceLimit;
  /** `logging.slow_request`. */
  readonly slowRequestMs: number;
  /** Of requests that were slow or failed. */
  readonly report: RequestReport;
  /** Undefined where `logging.access` is off. */
  readonly accessLog: AccessLog | undefined;
  readonly traceContexts: TraceContexts;
  /** @see S3ListenerOptions.hostId */
  readonly hostId: string;
  /** Undefined where clients do not authenticate. */
  readonly access: Pick<ClientAccess, "mayLearnAbsence"> | undefined;
  /** Every exchange that has not ended. */
  readonly running: LinkedList<Exchange>;
  /** Called after each exchange has ended. */
  onEnd(): void;
}

/** A response of node:http. It knows its exchange, so that one shared function ends all exchanges, without a closure for each. */
export class ExchangeResponse extends ServerResponse {
  exchange: EdgeResponse["exchange"];

  constructor(...options: ConstructorParameters<typeof ServerResponse>) {
    super(...options);
    // `close` comes exactly once: after the last byte is with the kernel, or when the connection is gone.
    this.on("close", onClose);
  }

  /** @see EdgeResponse.writeLines */
  writeLines(status: number, lines: string): void {
    this.writeHead(status, flatOf(lines));
  }
}

function onClose(this: ExchangeResponse): void {
  this.exchange?.end();
}

export class Exchange extends Linked implements Asker {
  readonly request: EdgeRequest;
  readonly response: EdgeResponse;
  readonly requestId: string;
  operation: Operation = "rejected";
  /** As the client named them; empty if unknown. */
  bucket = "";
  key = "";
  /** The client that sent the request. Undefined where clients do not authenticate. */
  client: Identity | undefined;
  /** Releases its bytes when the response ends. */
  reader: BodyReader | undefined;
  readonly pace: ClientPace;
  /** Undefined where `logging.access` is off. */
  readonly record: AccessRecord | undefined;
  /** @see Asker.waits */
  waits: Waits | undefined;
  /** The code of the error that ended it, unless that was the client's own. */
  #failure: string | undefined;
  #cut = false;
  readonly #context: ExchangeContext;
  readonly #startedMs: number;
  /** When its first byte was there. */
  #firstByteMs = 0;

  constructor(request: EdgeRequest, response: EdgeResponse, requestId: string, context: ExchangeContext) {
    super();
    this.request = request;
    this.response = response;
    this.requestId = requestId;
    this.#context = context;
    this.#startedMs = context.clock.monotonic();
    this.pace = new ClientPace(context.paceLimit);
    this.record = context.accessLog?.begin(request);
    response.exchange = this;
    context.running.push(this);
  }

  /** Whether the response has ended or the client is disconnected. */
  get isOver(): boolean {
    return this.response.destroyed || this.response.writableEnded;
  }

  /** It waits for `wait` until `waits.end()`, or until it ends itself. */
  begin(wait: Wait): Waits {
    this.waits ??= new Waits(this.#context.clock, this.requestId);
    this.waits.begin(wait);
    return this.waits;
  }

  /** Names its trace as one of an observation, where it is recorded. */
  mark(histogram: Histogram, seconds: number): void {
    const { traceContexts, clock } = this.#context;
    const context = traceContexts.size === 0 ? undefined : traceContexts.get(this.requestId);
    if (context?.isSampled) histogram.mark({ traceId: context.traceId, seconds, atMs: clock.now() });
  }

  /** Its first byte is there. Returns how long that took. */
  firstByte(): number {
    this.#firstByteMs = this.#context.clock.monotonic();
    return (this.#firstByteMs - this.#startedMs) / 1000;
  }

  /** A whole small response. `headers` is flat. */
  send(status: number, headers: string[], body: string | Buffer): void {
    this.response.writeHead(status, headers);
    this.#sendBody(body);
  }

  /** A response without a body. `lines` are laid out and checked. */
  sendLines(status: number, lines: string): void {
    this.response.writeLines(status, lines);
    this.#sendBody("");
  }

  #sendBody(body: string | Buffer): void {
    if (body !== "") this.sending(body.length);
    if (this.record) this.record.bodyBytes = Buffer.byteLength(body);
    this.response.end(body);
  }

  /** What names the request and the replica, in every answer. */
  idHeaders(): readonly string[] {
    return ["x-amz-request-id", this.requestId, "x-amz-id-2", this.#context.hostId];
  }

  /** The connection is given the whole body, in the turn in which its first byte was there. */
  sendingAll(lengthBytes: number): void {
    this.pace.sending(lengthBytes, this.#firstByteMs);
  }

  /** The connection is given so many bytes of the body. */
  sending(lengthBytes: number): void {
    this.pace.sending(lengthBytes, this.#context.clock.monotonic());
  }

  /** The client has taken them. */
  taken(): void {
    this.pace.taken(this.#context.clock.monotonic());
  }

  sendXml(body: string): void {
    const length = String(Buffer.byteLength(body));
    const headers = [...this.idHeaders(), "Content-Type", "application/xml", "Content-Length", length];
    this.send(200, headers, this.request.method === "HEAD" ? "" : body);
  }

  /** A failure before the first byte: an S3 error. `objectSizeBytes` is for an unsatisfiable range. */
  sendError(failure: OrcaError, objectSizeBytes?: number): void {
    if (this.isOver) return;
    const error = this.#isHidden(failure) ? accessDenied() : failure;
    // A client's own error is not logged, not even a 501: a flood of requests must not flood the log. A bucket that the
    // origin does not have is a 404, and the operator's error.
    this.#context.stats.countError(error.code);
    if (this.record) this.record.code = error.code;
    const isServers = errorTable[error.code].status >= 500 || error.code === "no_such_bucket";
    if (isServers && error.source !== "client") {
      this.#logFailure(error, "Cannot answer a request", pages.requestFailed);
    }
    const answer = errorResponse(error, this.#errorContext(objectSizeBytes));
    // The unread body of a PUT would be taken for the next request.
    if (error.code === "method_not_allowed") answer.headers.push("Connection", "close");
    this.send(answer.status, answer.headers, answer.body);
  }

  /** An error in the origin's own words. */
  sendRelayedError(error: RelayedError): void {
    const { status, headers, body } = relayedErrorResponse(error, this.#errorContext());
    this.send(status, headers, body);
  }

  #isHidden({ code }: OrcaError): boolean {
    const { client, bucket, key } = this;
    const { access } = this.#context;
    if (code !== "no_such_key" && code !== "no_such_version") return false;
    if (client === undefined || access === undefined) return false;
    return !access.mayLearnAbsence(client, bucket, key);
  }

  #errorContext(objectSizeBytes?: number): ErrorContext {
    return {
      requestId: this.requestId,
      hostId: this.#context.hostId,
      isHead: this.request.method === "HEAD",
      bucket: this.bucket,
      key: this.key,
      objectSizeBytes,
    };
  }

  /** An exception that no handler expected. It is the fault of its request alone. */
  fail(thrown: unknown): void {
    const error = OrcaError.from(thrown, "internal", "edge", "Cannot answer a request");
    if (this.response.headersSent) this.response.destroy();
    else this.sendError(error);
  }

  /** A failure after the first byte: the body has been cut, and only the log can say why. */
  bodyCut(error: OrcaError): void {
    this.#cut = true;
    this.#context.stats.bodiesCut += 1;
    this.#context.stats.countError(error.code);
    if (this.record) this.record.code = error.code;
    this.#logFailure(error, "Cut a response short: its remaining bytes could not be read", pages.bodiesCut);
  }

  #logFailure(error: OrcaError, message: string, see: Page): void {
    this.#failure = error.code;
    const { requestId, operation, bucket, key } = this;
    const { logger, failures, traceContexts } = this.#context;
    const suppressed = failures.take(`${error.code} ${error.source} ${message}`);
    const id = { requestId, ...traceContexts.fields(requestId) };
    const fields = { ...id, operation, bucket, key, error, see, ...suppressed };
    if (suppressed) logger.warn(fields, message);
    else if (logger.isDebug) logger.debug(fields, message);
  }

  /** @internal Called once, when the response has closed. */
  end(): void {
    const { clock, stats, logger, running, slowRequestMs } = this.#context;
    const { reader } = this;
    if (reader) {
      reader.close();
      stats.countServed(reader.version.originId, reader.takenBytes);
    }
    running.remove(this);
    const { statusCode, headersSent, writableFinished } = this.response;
    const status = headersSent ? statusCode : clientGoneStatus;
    const seconds = (clock.monotonic() - this.#startedMs) / 1000;
    stats.countRequest(this.operation, status);
    stats.totalSeconds[this.operation].observe(seconds);
    if (!writableFinished && !this.#cut) stats.clientsGone += 1;
    const { spans } = this.#context.traceContexts;
    if (logger.isDebug || spans) this.#logEnd(status, seconds, spans);
    if (this.record) this.#logAccess(this.record, status, seconds);
    const isSlow = seconds * 1000 > slowRequestMs;
    if (isSlow) stats.requestsSlow += 1;
    if (isSlow || this.#failure !== undefined) this.#report(status, seconds * 1000);
    this.#context.onEnd();
  }

  #report(status: number, totalMs: number): void {
    this.waits?.end();
    const complete = this.response.writableFinished;
    this.#context.report.log(this, { status, totalMs, complete, failure: this.#failure });
  }

  #logAccess(record: AccessRecord, status: number, seconds: number): void {
    const complete = this.response.writableFinished && !this.#cut;
    this.#context.accessLog?.end(this, record, { status, seconds, complete });
  }

  #logEnd(status: number, seconds: number, spans: StepSpans | undefined): void {
    const { requestId, operation, bucket, key, client, reader } = this;
    const complete = this.response.writableFinished;
    const fields = {
      step: "response",
      requestId,
      ...this.#context.traceContexts.fields(requestId),
      operation,
      bucket,
      key,
      identity: client?.name ?? "",
      status,
      source: reader?.source,
      seconds,
      complete,
    };
    spans?.responded(requestId, fields);
    this.#context.logger.debug(fields, complete ? "Answered a request" : "A client disconnected");
  }
}
