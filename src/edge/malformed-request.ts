/**
 * Requests that break HTTP/1.1: those that Node's parser rejects, and those that it lets through. A proxy in front may
 * read such a request in another way than Orca, so it is rejected, and its connection is closed.
 */
import { STATUS_CODES } from "node:http";
import type { Duplex } from "node:stream";
import type { Clock } from "../base/clock.ts";
import { framingFault, type MessageHead } from "../base/http/framing-fault.ts";
import { type ErrorCode, OrcaError } from "../base/orca-error.ts";
import type { RequestIds } from "../trace/request-id.ts";
import type { EdgeStats } from "./edge-stats.ts";
import { errorResponse } from "./error-response.ts";
import type { Exchange } from "./exchange.ts";

/** Enough for S3's 8 KiB of user metadata and long presigned queries. */
export const headerSizeBytesMax = 32 * 1024;

/** A client that does not take the answer to a malformed request in this time is disconnected without it. */
const answerTimeoutMs = 5000;

export interface MalformedRequestsOptions {
  readonly stats: EdgeStats;
  readonly clock: Clock;
  readonly hostId: string;
  readonly requestIds: RequestIds;
}

/** Answers requests for which Node has no response object: the S3 error is laid out by hand. */
export class MalformedRequests {
  readonly #options: MalformedRequestsOptions;

  constructor(options: MalformedRequestsOptions) {
    this.#options = options;
  }

  /** After Node's `clientError`. `served` is the exchange of an earlier request on the connection, or of this one's head. */
  answer(error: NodeJS.ErrnoException, socket: Duplex, served: Exchange | undefined): void {
    // The head had a fault, and so has the body. The answer to the head closes the connection.
    if (served?.response.writableEnded === true && !served.response.shouldKeepAlive) return;
    if (error.code === "ECONNRESET" || !socket.writable) {
      socket.destroy();
      return;
    }
    this.#options.stats.requestsMalformed += 1;
    this.#answer(errorOf(error.code), socket, served);
  }

  /** After Node's `connect`, with which Node gives the connection away, its error listeners removed. */
  connect(socket: Duplex, served: Exchange | undefined): void {
    socket.on("error", () => socket.destroy());
    this.#options.stats.countRequest("rejected", 405);
    const reason = 'Cannot serve "CONNECT": Orca is read-only and serves GET and HEAD';
    this.#answer(new OrcaError("method_not_allowed", "client", reason), socket, served);
  }

  #answer(error: OrcaError, socket: Duplex, served: Exchange | undefined): void {
    // The error would end up in the middle of the body that is being sent.
    if (served) {
      socket.destroy();
      return;
    }
    const { clock, hostId, requestIds } = this.#options;
    // The callback comes when the kernel has the bytes. A client that reads nothing would put that off for ever.
    const deadline = clock.timer(answerTimeoutMs, () => socket.destroy());
    socket.once("close", () => deadline.cancel());
    // Both sides: a client that leaves its own side open would keep the connection for ever.
    socket.end(rawAnswer(error, requestIds.next(), hostId), () => socket.destroy());
  }
}

function rawAnswer(error: OrcaError, requestId: string, hostId: string): string {
  const context = { requestId, hostId, isHead: false, bucket: "", key: "" };
  const { status, headers, body } = errorResponse(error, context);
  let head = `HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\nConnection: close\r\n`;
  for (let index = 0; index < headers.length; index += 2) {
    head += `${headers[index]}: ${headers[index + 1]}\r\n`;
  }
  return `${head}\r\n${body}`;
}

/** `code` is that of Node's error (https://nodejs.org/api/http.html#event-clienterror). */
function errorOf(code: string | undefined): OrcaError {
  switch (code) {
    case "ERR_HTTP_REQUEST_TIMEOUT":
      return unreadable("request_timeout", "it arrived too slowly (server.header_timeout)");
    case "HPE_HEADER_OVERFLOW":
      return unreadable("invalid_request", `its headers are longer than ${headerSizeBytesMax} bytes`);
    default:
      return unreadable("invalid_request", "it is not HTTP/1.1");
  }
}

/** What is wrong with a request that Node's parser let through. */
export function faultOfMessage(message: MessageHead): OrcaError | undefined {
  const fault = framingFault(message);
  return fault && unreadable(fault.isUnknownCoding ? "not_implemented" : "invalid_request", fault.reason);
}

function unreadable(code: ErrorCode, reason: string): OrcaError {
  return new OrcaError(code, "client", `Cannot read the request: ${reason}`);
}
