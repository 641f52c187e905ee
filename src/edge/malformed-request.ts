/**
 * Requests that break HTTP/1.1: those that Node's parser rejects, and those that it lets through. A proxy in front may
 * read such a request in another way than Orca, so it is rejected, and its connection is closed.
 */
import type { IncomingMessage } from "node:http";
import { type ErrorCode, OrcaError } from "../base/orca-error.ts";
import { errorResponse } from "./error-response.ts";

/** Enough for S3's 8 KiB of user metadata and long presigned queries. */
export const headerSizeBytesMax = 32 * 1024;

/**
 * The answer to a request that Node's parser rejected, as the bytes to send: there is no response object for it, so the
 * S3 error is laid out by hand. `code` is that of Node's error (https://nodejs.org/api/http.html#event-clienterror).
 */
export function malformedAnswer(code: string | undefined, requestId: string, hostId: string): string {
  const answer = errorResponse(errorOf(code), { requestId, hostId, isHead: false, bucket: "", key: "" });
  let head = `HTTP/1.1 ${answer.status} Bad Request\r\nConnection: close\r\n`;
  for (let index = 0; index < answer.headers.length; index += 2) {
    head += `${answer.headers[index]}: ${answer.headers[index + 1]}\r\n`;
  }
  return `${head}\r\n${answer.body}`;
}

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
export function faultOfMessage(message: IncomingMessage): OrcaError | undefined {
  if (message.httpVersionMajor !== 1) {
    return unreadable("invalid_request", `it is HTTP/${message.httpVersion}, and Orca serves HTTP/1.1`);
  }
  return hasTwoHosts(message.rawHeaders)
    ? unreadable("invalid_request", "it has more than one Host")
    : undefined;
}

/** RFC 9112 §3.2. Node joins the values of other headers, and keeps the first Host only. */
function hasTwoHosts(rawHeaders: readonly string[]): boolean {
  let hosts = 0;
  for (let index = 0; index < rawHeaders.length; index += 2) {
    const name = rawHeaders[index] as string;
    if (name.length === 4 && (name === "Host" || name.toLowerCase() === "host")) hosts += 1;
  }
  return hosts > 1;
}

function unreadable(code: ErrorCode, reason: string): OrcaError {
  return new OrcaError(code, "client", `Cannot read the request: ${reason}`);
}
