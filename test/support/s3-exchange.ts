/**
 * One request to the in-repo S3 server and the answer on its way out, with whatever the script has put in its way. A
 * body is made and written slice by slice, each after the kernel took the one before, so that a terabyte costs one
 * slice of memory and a byte count is a true one.
 */
import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from "node:http";
import type { Clock } from "../../src/base/clock.ts";
import { sliceSizeBytes } from "./pattern.ts";
import type { Fault, S3Operation } from "./s3-fault.ts";
import type { S3Object } from "./s3-object.ts";
import { errorXml } from "./s3-xml.ts";

/** One request as the server saw it. */
export interface S3Request {
  readonly operation: S3Operation;
  readonly bucket: string;
  /** The object key, the prefix of a LIST, "" for a bucket. */
  readonly key: string;
  readonly range: string | undefined;
  readonly ifMatch: string | undefined;
  readonly ifNoneMatch: string | undefined;
  readonly userAgent: string | undefined;
  readonly query: URLSearchParams;
  readonly headers: IncomingHttpHeaders;
  /** 0 until a head is sent. */
  status: number;
  /** Body bytes handed to the kernel. */
  bytesSent: number;
  /** False while it is being answered. */
  closed: boolean;
}

export interface S3Exchange {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly record: S3Request;
  readonly fault: Fault;
  /** Resolves when the connection is gone or the answer complete. */
  readonly closed: Promise<void>;
  readonly clock: Clock;
}

/** Ends the exchange with an S3 error; `code` where the status alone does not name it. */
export function refuse(exchange: S3Exchange, status: number, code?: string): void {
  const { record, response } = exchange;
  const requestId = String(response.getHeader("x-amz-request-id"));
  end(exchange, status, errorXml(status, code, `/${record.bucket}/${record.key}`, requestId));
}

/** Ends the exchange with a short answer that is no object. */
export function end(exchange: S3Exchange, status: number, xml?: string): void {
  const { response } = exchange;
  if (xml !== undefined) {
    response.setHeader("content-type", "application/xml");
    response.setHeader("content-length", Buffer.byteLength(xml));
  }
  setHead(exchange, status);
  response.end(xml);
}

/** Sends bytes of an object; resolves when the answer has ended, one way or the other. */
export async function sendBody(
  exchange: S3Exchange,
  status: number,
  object: S3Object,
  offset: number,
  lengthBytes: number,
): Promise<void> {
  const { response, fault, record, closed } = exchange;
  const declaredBytes = lengthBytes + (fault.contentLengthDelta ?? 0);
  if (!fault.chunked) response.setHeader("content-length", declaredBytes);
  setHead(exchange, status);
  if (record.operation === "HEAD") {
    response.end();
    return;
  }
  response.flushHeaders();
  const startedMs = exchange.clock.monotonic();
  const stops = stopsOf(fault);
  let sentBytes = 0;
  for (;;) {
    if (sentBytes === fault.gate?.afterBytes) await Promise.race([fault.gate.pass(), closed]);
    if (sentBytes === fault.stallAfterBytes) await closed;
    if (response.destroyed || sentBytes === fault.cutAfterBytes) {
      response.destroy();
      return;
    }
    if (sentBytes === lengthBytes) break;
    if (fault.bytesPerSecond !== undefined) {
      const dueMs = startedMs + (sentBytes / fault.bytesPerSecond) * 1000;
      await pause(exchange, dueMs - exchange.clock.monotonic());
    }
    const stop = stops.find((at) => at > sentBytes) ?? lengthBytes;
    const sliceBytes = Math.min(
      stop - sentBytes,
      lengthBytes - sentBytes,
      sliceBytesAt(fault.bytesPerSecond),
    );
    record.bytesSent += sliceBytes;
    await write(exchange, object.read(offset + sentBytes, sliceBytes));
    sentBytes += sliceBytes;
  }
  if (fault.extraBytes !== undefined) await write(exchange, Buffer.alloc(fault.extraBytes, "junk"));
  if (declaredBytes > lengthBytes) response.destroy();
  else response.end();
}

/** Resolves after `delayMs` of the server's clock, or when the connection is gone. */
export async function pause(exchange: S3Exchange, delayMs: number): Promise<void> {
  if (delayMs <= 0) return;
  const { promise, resolve } = Promise.withResolvers<void>();
  const timer = exchange.clock.timer(delayMs, resolve);
  await Promise.race([promise, exchange.closed]);
  timer.cancel();
}

/** The fault's headers come last, so that they have the last word. */
function setHead({ response, record, fault }: S3Exchange, status: number): void {
  record.status = status;
  response.statusCode = status;
  for (const [name, value] of Object.entries(fault.headers ?? {})) {
    if (value === null) response.removeHeader(name);
    else response.setHeader(name, value);
  }
}

/** The places where a slice has to end because something happens there, in order. */
function stopsOf(fault: Fault): number[] {
  const places = [fault.gate?.afterBytes, fault.stallAfterBytes, fault.cutAfterBytes];
  return places.filter((at) => at !== undefined).sort((left, right) => left - right);
}

/** At a set pace a slice is what 10 ms bring, so that the pace is smooth. */
function sliceBytesAt(bytesPerSecond: number | undefined): number {
  if (bytesPerSecond === undefined) return sliceSizeBytes;
  return Math.min(sliceSizeBytes, Math.max(1, Math.floor(bytesPerSecond / 100)));
}

function write({ response, closed }: S3Exchange, bytes: Buffer): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  response.write(bytes, () => resolve());
  return Promise.race([promise, closed]);
}
