/**
 * The head of an HTTP/1.1 response (RFC 9112 §4, §5), read strictly: what a lenient parser guesses at, one peer
 * guesses differently, and then bytes of one response are taken for another's. Nothing here waits or holds state, so
 * the parser is a pure function that fast-check can feed.
 */

export interface ResponseHead {
  readonly minorVersion: 0 | 1;
  readonly status: number;
  /** Names in lower case; a repeated header is one value joined by `, ` (RFC 9110 §5.3). Values are latin1. */
  readonly headers: ReadonlyMap<string, string>;
  /** Bytes of the header `Content-Length`, where it is there. */
  readonly contentLength: number | undefined;
}

/** Why bytes are no head that RFC 9112 allows. */
export class MalformedHead {
  readonly reason: string;

  /** `reason` completes "Cannot …: ". */
  constructor(reason: string) {
    this.reason = reason;
  }
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

/** A whole head, its empty line included. What is wrong with it is a value: whose fault it is, the caller knows. */
export function parseHead(bytes: Buffer): ResponseHead | MalformedHead {
  const lines = bytes.toString("latin1", 0, bytes.length - headEnd.length).split("\r\n");
  const [, minorVersion, status] = statusLine.exec(lines[0] as string) ?? [];
  if (status === undefined) return malformed("the status line", lines[0] as string);
  const headers = new Map<string, string>();
  for (let index = 1; index < lines.length; index += 1) {
    const line = lines[index] as string;
    const colon = line.indexOf(":");
    const name = line.slice(0, Math.max(0, colon));
    // No space before the colon and no folded lines: both have carried smuggled responses (RFC 9112 §5.1, §5.2).
    if (!headerName.test(name)) return malformed("a header name", line);
    const value = trimmed(line, colon + 1);
    if (!headerValue.test(value)) return malformed("a header value", line);
    const lowerName = name.toLowerCase();
    const earlier = headers.get(lowerName);
    headers.set(lowerName, earlier === undefined ? value : `${earlier}, ${value}`);
  }
  const length = headers.get("content-length");
  if (length !== undefined && !lengthValue.test(length)) return malformed("Content-Length", length);
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

/** Bytes of the body that follows a head (RFC 9112 §6.3); undefined where only its end, or the connection's, tells. */
export function bodyLength(method: string, head: ResponseHead): number | undefined {
  if (method === "HEAD" || head.status === 204 || head.status === 304) return 0;
  return head.headers.has("transfer-encoding") ? undefined : head.contentLength;
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

function malformed(part: string, text: string): MalformedHead {
  return new MalformedHead(
    `in the response head, ${part} is malformed: ${JSON.stringify(text.slice(0, 80))}`,
  );
}
