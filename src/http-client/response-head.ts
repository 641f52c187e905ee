/**
 * The head of an HTTP/1.1 response (RFC 9112 §4, §5), parsed strictly. Two lenient parsers may guess differently, and then
 * one of them takes bytes of one response for another's. The parser is a pure function, so that fast-check can test it.
 */

export interface ResponseHead {
  readonly minorVersion: 0 | 1;
  readonly status: number;
  /** Names in lower case. The values of a repeated header are joined by `, ` (RFC 9110 §5.3). Values are latin1. */
  readonly headers: ReadonlyMap<string, string>;
  /** Value of the header `Content-Length`, where there is one. */
  readonly contentLength: number | undefined;
}

/** Why bytes are not a head by RFC 9112. */
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
 * Length of the head at the start of `bytes`, including its empty line, or 0 while it is incomplete. The first
 * `searchedBytes` are known not to contain the end, so that a head in many reads is not searched from the start each time.
 */
export function headLength(bytes: Buffer, searchedBytes: number): number {
  const end = bytes.indexOf(headEnd, Math.max(0, searchedBytes - (headEnd.length - 1)));
  return end === -1 ? 0 : end + headEnd.length;
}

/** Parses a complete head, including its empty line. A fault is a value, because the caller knows whose fault it is. */
export function parseHead(bytes: Buffer): ResponseHead | MalformedHead {
  const lines = bytes.toString("latin1", 0, bytes.length - headEnd.length).split("\r\n");
  const [, minorVersion, status] = statusLine.exec(lines[0] as string) ?? [];
  if (status === undefined) return malformed("the status line", lines[0] as string);
  const headers = new Map<string, string>();
  for (let index = 1; index < lines.length; index += 1) {
    const line = lines[index] as string;
    const colon = line.indexOf(":");
    const name = line.slice(0, Math.max(0, colon));
    // No space before the colon, and no folded lines: both have hidden smuggled responses (RFC 9112 §5.1, §5.2).
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

/** Length of the body after a head (RFC 9112 §6.3), or undefined where the head does not tell it. */
export function bodyLength(method: string, head: ResponseHead): number | undefined {
  if (method === "HEAD" || head.status === 204 || head.status === 304) return 0;
  return head.headers.has("transfer-encoding") ? undefined : head.contentLength;
}

/** Whether these first bytes can still become a head, so that another protocol fails at once. */
export function looksLikeHead(bytes: Buffer): boolean {
  const expected = "HTTP/1.";
  const lengthBytes = Math.min(bytes.length, expected.length);
  return bytes.toString("latin1", 0, lengthBytes) === expected.slice(0, lengthBytes);
}

/** `line` from `start` on, without spaces and tabs around it. String.trim would also remove 0xa0, a byte of UTF-8 text. */
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
