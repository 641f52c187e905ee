/**
 * The head of an HTTP/1.1 response (RFC 9112 §4, §5), read strictly: what a lenient parser guesses at, one peer
 * guesses differently, and then bytes of one response are taken for another's. Nothing here waits or holds state, so
 * the parser is a pure function that fast-check can feed.
 */
import { OrcaError } from "../base/orca-error.ts";

export interface ResponseHead {
  readonly minorVersion: 0 | 1;
  readonly status: number;
  /** Names in lower case; a repeated header is one value joined by `, ` (RFC 9110 §5.3). Values are latin1. */
  readonly headers: ReadonlyMap<string, string>;
  /** Bytes of the header `Content-Length`, where it is there. */
  readonly contentLength: number | undefined;
}

const headEnd = Buffer.from("\r\n\r\n", "latin1");

const statusLine = /^HTTP\/1\.([01]) ([1-9]\d\d)(?: [\t\x20-\x7e\x80-\xff]*)?$/;
const headerName = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
const headerValue = /^[\t\x20-\x7e\x80-\xff]*$/;
// 15 digits are fewer than 2^53, so a length is always a safe integer.
const lengthValue = /^\d{1,15}$/;

/**
 * Bytes of the head at the start of `bytes`, its empty line included; 0 while it is not whole yet. `searchedBytes` of
 * it were searched before without finding the end, so that a head in many pieces is not searched from the start each time.
 */
export function headLength(bytes: Buffer, searchedBytes: number): number {
  const end = bytes.indexOf(headEnd, Math.max(0, searchedBytes - (headEnd.length - 1)));
  return end === -1 ? 0 : end + headEnd.length;
}

/**
 * Parses a whole head, its empty line included.
 * @throws OrcaError origin_unavailable where it is not a head that RFC 9112 allows.
 */
export function parseHead(bytes: Buffer): ResponseHead {
  const lines = bytes.toString("latin1", 0, bytes.length - headEnd.length).split("\r\n");
  const [, minorVersion, status] = statusLine.exec(lines[0] as string) ?? [];
  if (status === undefined) throw malformed("its status line", lines[0] as string);
  const headers = new Map<string, string>();
  for (let index = 1; index < lines.length; index += 1) {
    const line = lines[index] as string;
    const colon = line.indexOf(":");
    const name = line.slice(0, Math.max(0, colon));
    // No space before the colon and no folded lines: both have carried smuggled responses (RFC 9112 §5.1, §5.2).
    if (!headerName.test(name)) throw malformed("a header name", line);
    const value = trimmed(line, colon + 1);
    if (!headerValue.test(value)) throw malformed("a header value", line);
    const lowerName = name.toLowerCase();
    const earlier = headers.get(lowerName);
    headers.set(lowerName, earlier === undefined ? value : `${earlier}, ${value}`);
  }
  const length = headers.get("content-length");
  if (length !== undefined && !lengthValue.test(length)) throw malformed("Content-Length", length);
  return {
    minorVersion: minorVersion === "0" ? 0 : 1,
    status: Number(status),
    headers,
    contentLength: length === undefined ? undefined : Number(length),
  };
}

/** Whether another request may follow on the same connection (RFC 9112 §9.3). */
export function isPersistent(head: ResponseHead): boolean {
  const options = head.headers.get("connection") ?? "";
  return head.minorVersion === 1 && !/(?:^|,)[ \t]*close[ \t]*(?:,|$)/i.test(options);
}

/** Whether bytes that began like this can still become a head: a peer that speaks something else is told at once. */
export function looksLikeHead(bytes: Buffer): boolean {
  const expected = "HTTP/1.";
  const lengthBytes = Math.min(bytes.length, expected.length);
  return bytes.toString("latin1", 0, lengthBytes) === expected.slice(0, lengthBytes);
}

/** `line` from `start` on without the spaces and tabs around it; String.trim would eat 0xa0, a byte of UTF-8 text. */
function trimmed(line: string, start: number): string {
  const isBlank = (index: number): boolean => line[index] === " " || line[index] === "\t";
  let first = start;
  let end = line.length;
  while (first < end && isBlank(first)) first += 1;
  while (end > first && isBlank(end - 1)) end -= 1;
  return line.slice(first, end);
}

function malformed(part: string, text: string): OrcaError {
  const shown = JSON.stringify(text.slice(0, 80));
  return new OrcaError(
    "origin_unavailable",
    "origin",
    `Cannot read a response head: ${part} is malformed: ${shown}`,
  );
}
