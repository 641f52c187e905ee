/**
 * Answers GetObject and HeadObject: metadata, conditions, range, then bytes. If the directory knows the object and memory
 * holds the first byte, everything from request to socket runs in one turn without a promise.
 *
 * An object may be overwritten between its HEAD and a fill. While no byte has been sent, the request is answered once
 * more with the new version: (1) the fill fails with origin_etag_changed; (2) the directory forgets that version;
 * (3) look-up, conditions and range are evaluated again. After a second change in a row the client must retry.
 *
 * A parallel download reads through several replicas, whose metadata may differ. Its first request, a HEAD or a range
 * without a pinned ETag, uses metadata that the coordinator has confirmed within the last second. The other requests pin
 * that ETag with If-Match. If it differs from the cached one, the directory revalidates its entry, and the conditions are
 * evaluated again before the client gets 412. A whole object in one response is consistent and needs none of this.
 */
import type { Clock } from "../base/clock.ts";
import { OrcaError } from "../base/orca-error.ts";
import { nullVersionId } from "../chunk/version-id.ts";
import { type Bodies, type BodyReader, tracePlan } from "../fill/bodies.ts";
import type { Bucket } from "../object/bucket.ts";
import { headersLengthMax, type LookupResult, type ObjectRecord } from "../object/object-record.ts";
import type { ObjectLocation } from "../origin/origin.ts";
import type { Trace } from "../trace/trace.ts";
import { type ConditionHeaders, evaluateConditions, pinsVersion } from "./conditions.ts";
import type { EdgeStats } from "./edge-stats.ts";
import { archivedErrorOf } from "./errors/archived-error.ts";
import type { Exchange } from "./exchange.ts";
import { bodyCacheStatus, metadataCacheStatus } from "./headers/cache-status.ts";
import { firstBytesOf } from "./headers/first-bytes.ts";
import { byteRangeOf } from "./headers/wanted-bytes.ts";
import { asksToWarm, sendWarming, type WarmRequests } from "./headers/warm-header.ts";
import { ObjectHeaders } from "./object-headers.ts";
import { ObjectTransfer } from "./object-transfer.ts";
import { noPart, rangeBesidePart, rangeOfPart } from "./parts/part-number.ts";
import { type SatisfiableRange, wholeObject } from "./range.ts";
import type { ObjectRequest } from "./s3-request.ts";
import { TransferTurns } from "./transfer-turns.ts";

export interface ObjectHandlerOptions {
  readonly clock: Clock;
  readonly bodies: Bodies;
  readonly stats: EdgeStats;
  /** @see S3ListenerOptions.hostId */
  readonly hostId: string;
  /** Of the smallest objects. */
  readonly chunkSizeBytesMin: number;
  /** `server.strict_ranges`: whether a malformed range is 416 and not ignored. */
  readonly strictRanges: boolean;
  /** Undefined without `server.warm_header`. */
  readonly warmRequests?: WarmRequests | undefined;
}

/** The state of one request, which may be answered twice. */
interface Task {
  readonly exchange: Exchange;
  readonly request: ObjectRequest;
  readonly bucket: Bucket;
  readonly location: ObjectLocation;
  /** Whether the object has changed once during this request. */
  changed: boolean;
  /** Whether the entry that fails its If-Match has been revalidated. */
  revalidated: boolean;
}

const checksumMode = "x-amz-checksum-mode";

/** One of this replica's entry, and one of the coordinator's if that differs. */
const revalidationsMax = 2;

export class ObjectHandler {
  readonly #options: ObjectHandlerOptions;
  readonly #turns = new TransferTurns();

  constructor(options: ObjectHandlerOptions) {
    this.#options = options;
  }

  handle(exchange: Exchange, request: ObjectRequest, bucket: Bucket): void {
    exchange.operation = request.kind === "get-object" ? "get_object" : "head_object";
    const fault = bucket.faultOf(request.key);
    if (fault) {
      exchange.sendError(fault);
      return;
    }
    if (request.partNumber !== noPart && exchange.request.headers.range !== undefined) {
      exchange.sendError(rangeBesidePart());
      return;
    }
    const location = bucket.locate(request.key, request.versionId);
    const task: Task = { exchange, request, bucket, location, changed: false, revalidated: false };
    const { directory } = bucket;
    if (this.#trace?.isOn) this.#traceRequest(task);
    const known = beginsParts(task)
      ? directory.peekRefreshed(location, exchange)
      : directory.peek(location, exchange);
    if (known) this.#answer(task, known, true);
    else void this.#lookUpAndAnswer(task);
  }

  async #lookUpAndAnswer(task: Task): Promise<void> {
    const { exchange, location } = task;
    const waits = exchange.begin("metadata");
    try {
      const { directory } = task.bucket;
      const { headers } = exchange.request;
      const isRead = task.request.kind === "get-object" && task.request.partNumber === noPart;
      const firstBytes = isRead ? firstBytesOf(headers, this.#options.chunkSizeBytesMin) : undefined;
      const read = isRead ? headers : undefined;
      const found = await (beginsParts(task)
        ? directory.lookupRefreshed(location, exchange, firstBytes, read)
        : directory.lookup(location, exchange, firstBytes, read));
      waits.end();
      if (!task.exchange.isOver) this.#answer(task, found, directory.foundKept?.(exchange) ?? false);
    } catch (thrown) {
      task.exchange.sendError(OrcaError.from(thrown, "internal", "edge", "Cannot look up an object"));
    } finally {
      this.#options.bodies.dropBegun?.(exchange);
    }
  }

  async #revalidateAndAnswer(task: Task, contradicted: LookupResult): Promise<void> {
    task.revalidated = true;
    const waits = task.exchange.begin("metadata");
    try {
      let found = contradicted;
      for (let revalidations = 0; revalidations < revalidationsMax; revalidations += 1) {
        const before = found;
        found = await task.bucket.directory.revalidate(task.location, before, task.exchange);
        if (found === before || this.#proceeds(task, found)) break;
      }
      waits.end();
      if (!task.exchange.isOver) this.#answer(task, found, false);
    } catch (thrown) {
      task.exchange.sendError(
        OrcaError.from(thrown, "internal", "edge", "Cannot revalidate an object's version"),
      );
    }
  }

  #proceeds({ exchange }: Task, found: LookupResult): boolean {
    if (found.kind === "error") return false;
    const { headers } = exchange.request;
    return evaluateConditions(headers, found.record.head, this.#options.clock) !== "precondition_failed";
  }

  #answer(task: Task, found: LookupResult, wasKnown: boolean): void {
    const { exchange } = task;
    if (found.kind === "error") {
      if (mayRevalidate(task)) void this.#revalidateAndAnswer(task, found);
      else exchange.sendError(found.error);
      return;
    }
    const { record } = found;
    const { head } = record;
    const verdict = evaluateConditions(exchange.request.headers, head, this.#options.clock);
    if (verdict === "not_modified") {
      const headers = this.#headersOf(record);
      const status = metadataCacheStatus(wasKnown || record.stale !== undefined);
      exchange.sendLines(304, headers.forNotModified(exchange.requestId, status));
      return;
    }
    if (verdict === "precondition_failed" && mayRevalidate(task)) {
      void this.#revalidateAndAnswer(task, found);
      return;
    }
    if (verdict === "precondition_failed") {
      exchange.sendError(
        new OrcaError("precondition_failed", "client", "Cannot serve the object: a precondition failed"),
      );
      return;
    }
    if (wantsChecksums(task) && !task.revalidated && head.isChecksumUnknown) {
      void this.#revalidateAndAnswer(task, found);
      return;
    }
    if (task.request.partNumber === noPart)
      this.#answerRange(task, record, this.#rangeOf(task, record), wasKnown);
    else this.#answerPart(task, record, wasKnown);
  }

  #answerPart(task: Task, record: ObjectRecord, wasKnown: boolean): void {
    const { location, bucket, request } = task;
    const { etag, sizeBytes } = record.head;
    const { partNumber } = request;
    const part = bucket.parts.peek({ ...location, etag, objectSizeBytes: sizeBytes, partNumber });
    if (part) this.#answerRange(task, record, rangeOfPart(part, partNumber, sizeBytes), wasKnown);
    else void this.#lookUpPart(task, record);
  }

  /** The question pins the version, so a part never belongs to another one than the metadata. */
  async #lookUpPart(task: Task, record: ObjectRecord): Promise<void> {
    const { exchange, location, bucket } = task;
    const { etag, sizeBytes } = record.head;
    const { partNumber } = task.request;
    const waits = exchange.begin("metadata");
    try {
      const asked = { ...location, etag, objectSizeBytes: sizeBytes, partNumber };
      const part = await bucket.parts.find(asked, exchange);
      waits.end();
      if (!exchange.isOver) this.#answerRange(task, record, rangeOfPart(part, partNumber, sizeBytes), false);
    } catch (thrown) {
      const error = OrcaError.from(thrown, "internal", "edge", "Cannot find a part of an object");
      if (error.code === "origin_etag_changed") await this.#answerAnew(task, record, error);
      else exchange.sendError(error);
    }
  }

  #answerRange(
    task: Task,
    record: ObjectRecord,
    range: SatisfiableRange | OrcaError,
    wasKnown: boolean,
  ): void {
    const { exchange, request } = task;
    const { sizeBytes } = record.version;
    if (range instanceof OrcaError) {
      exchange.sendError(range, sizeBytes);
      return;
    }
    if (request.kind === "head-object" || sizeBytes === 0) {
      const status = metadataCacheStatus(wasKnown || record.stale !== undefined);
      const mode = exchange.request.headers[checksumMode];
      const headers = this.#headersOf(record);
      const lines = headers.forBody(range, exchange.requestId, status, request.overrides, mode);
      const httpStatus = range.kind === "whole" ? 200 : 206;
      const { warmRequests } = this.#options;
      if (warmRequests && asksToWarm(exchange.request)) {
        void sendWarming(exchange, httpStatus, lines, warmRequests.add(record.version));
      } else exchange.sendLines(httpStatus, lines);
      return;
    }
    this.#startBody(task, record, range);
  }

  #rangeOf(task: Task, record: ObjectRecord): SatisfiableRange | OrcaError {
    const { headers } = task.exchange.request;
    if (headers.range === undefined) return wholeObject;
    const range = byteRangeOf(headers, record.head);
    if (range.kind === "whole" || range.kind === "range") return range;
    if (range.kind === "malformed" && !this.#options.strictRanges) return wholeObject;
    const message = `Cannot serve the range: the object has ${record.version.sizeBytes} bytes`;
    return new OrcaError("invalid_range", "client", message);
  }

  #startBody(task: Task, record: ObjectRecord, range: SatisfiableRange): void {
    const start = range.kind === "whole" ? 0 : range.start;
    const end = range.kind === "whole" ? record.version.sizeBytes : range.end;
    const reader = this.#options.bodies.open(record.version, start, end, task.exchange);
    task.exchange.reader = reader;
    if (this.#trace?.isOn && !reader.isPlanned)
      tracePlan(this.#trace, task.exchange.requestId, record.version, start, end);
    const first = reader.take();
    if (first) this.#sendBody(task, record, range, reader, first);
    else void this.#awaitFirstByte(task, record, range, reader);
  }

  /** No status is sent before the first byte is available, so a failure until then is a clean S3 error. */
  async #awaitFirstByte(
    task: Task,
    record: ObjectRecord,
    range: SatisfiableRange,
    reader: BodyReader,
  ): Promise<void> {
    const { exchange } = task;
    try {
      let first: Buffer | null = null;
      while (first === null) {
        await reader.ready();
        if (exchange.isOver) return;
        first = reader.take();
      }
      this.#sendBody(task, record, range, reader, first);
    } catch (thrown) {
      reader.close();
      const error = OrcaError.from(thrown, "internal", "edge", "Cannot read an object");
      if (error.code === "origin_etag_changed") await this.#answerAnew(task, record, error);
      else if (error.code === "origin_denied") await this.#sendDenial(task, record, error);
      else exchange.sendError(archivedErrorOf(error, record.head) ?? error);
    }
  }

  /** The object may have been archived since its metadata came: that changes neither ETag nor date. */
  async #sendDenial(
    { exchange, bucket, location }: Task,
    record: ObjectRecord,
    error: OrcaError,
  ): Promise<void> {
    let explained = archivedErrorOf(error, record.head);
    if (!explained) {
      const found = await bucket.directory
        .revalidate(location, { kind: "found", record }, exchange)
        .catch(() => undefined);
      if (found?.kind === "found") explained = archivedErrorOf(error, found.record.head);
    }
    exchange.sendError(explained ?? error);
  }

  async #answerAnew(task: Task, record: ObjectRecord, error: OrcaError): Promise<void> {
    task.bucket.directory.forget(task.location, record.version.etag);
    if (task.changed) {
      task.exchange.sendError(error);
      return;
    }
    task.changed = true;
    await this.#lookUpAndAnswer(task);
  }

  #sendBody(
    task: Task,
    record: ObjectRecord,
    range: SatisfiableRange,
    reader: BodyReader,
    first: Buffer,
  ): void {
    const { exchange, request, bucket, location } = task;
    const source = reader.source ?? "memory";
    const firstByteSeconds = exchange.firstByte();
    const histogram = this.#options.stats.firstByteSeconds[source];
    histogram.observe(firstByteSeconds);
    exchange.mark(histogram, firstByteSeconds);
    const lengthBytes = range.kind === "whole" ? record.version.sizeBytes : range.end - range.start;
    this.#options.stats.hotObjects.count(record.version.tag, exchange.bucket, request.key, lengthBytes);
    if (exchange.record) exchange.record.firstByteSeconds = firstByteSeconds;
    const lines = this.#headersOf(record).forBody(
      range,
      exchange.requestId,
      bodyCacheStatus[source],
      request.overrides,
      exchange.request.headers[checksumMode],
    );
    exchange.response.writeLines(range.kind === "whole" ? 200 : 206, lines);
    if (reader.done) {
      exchange.sendingAll(first.length);
      exchange.response.end(first);
      return;
    }
    const transfer = new ObjectTransfer(this.#turns, exchange.response, reader, exchange, (error) => {
      if (error.code === "origin_etag_changed") bucket.directory.forget(location, record.version.etag);
      exchange.bodyCut(error);
    });
    transfer.begin(first);
  }

  get #trace(): Trace | undefined {
    return this.#options.bodies.trace;
  }

  #traceRequest({ exchange, bucket, location }: Task): void {
    const { operation, requestId, request } = exchange;
    const { originId } = bucket.directory;
    const fields = { originId, ...location, operation, range: request.headers.range };
    this.#trace?.step("request", requestId, fields);
  }

  #headersOf(record: ObjectRecord): ObjectHeaders {
    if (record.headers instanceof ObjectHeaders) return record.headers;
    const headers = new ObjectHeaders(record.head, this.#options.hostId, record.stale);
    if (headers.length <= headersLengthMax) record.headers = headers;
    return headers;
  }
}

/** Whether the response has the checksums of the object, if it has any. */
function wantsChecksums({ exchange, request }: Task): boolean {
  const { headers } = exchange.request;
  return headers[checksumMode] !== undefined && headers.range === undefined && request.partNumber === noPart;
}

/** Whether an entry that fails If-Match may be stale. After a change, the origin itself has rejected the pinned version. */
function mayRevalidate({ exchange, request, revalidated, changed }: Task): boolean {
  return !revalidated && !changed && !isFixed(request) && pinsVersion(exchange.request.headers);
}

/** Whether the bytes asked for can be no others, because a version can be deleted and not be replaced. */
function isFixed({ versionId }: ObjectRequest): boolean {
  return versionId !== undefined && versionId !== nullVersionId;
}

/** Whether later requests, through any replica, must agree with this one on the version. */
function beginsParts({ exchange, request }: Task): boolean {
  const headers: ConditionHeaders & { readonly range?: string | undefined } = exchange.request.headers;
  if (headers["if-match"] !== undefined || headers["if-range"] !== undefined || isFixed(request))
    return false;
  return headers.range !== undefined || request.partNumber !== noPart || request.kind === "head-object";
}
