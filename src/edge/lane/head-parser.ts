/**
 * Reads the head of a request in the strict form that nearly all clients send: GET or HEAD, an origin-form target in the
 * characters of RFC 3986, HTTP/1.1, header lines of a token, a colon and visible ASCII, each line with CR LF, each name at
 * most once, exactly one Host, no body, and nothing that asks for more than an answer. Of everything else it says that it
 * is something else, and node:http reads it. So there is nothing that this parser and llhttp could read in two ways.
 *
 * Texts are made of the bytes one by one, and not cut out of one text of the whole head: such a cut would keep the whole
 * head on the heap as long as a cache keeps the cut.
 */
import type { IncomingHttpHeaders } from "node:http";
import type { Socket } from "node:net";
import type { EdgeRequest } from "./edge-request.ts";
import { HeaderNames } from "./header-names.ts";

/** Of a head. A longer one is node:http's, which allows more. */
export const headBytesMax = 16 * 1024;
const headersMax = 64;

const CR = 0x0d;
const LF = 0x0a;
const space = 0x20;
const tab = 0x09;
const colon = 0x3a;

/** What a byte can be part of. */
const inToken = 1;
const inTarget = 2;
const inValue = 4;
const kinds = kindsOfBytes();

/** As the bytes after the target begin. */
const versionLine = Buffer.from("HTTP/1.1\r\n", "latin1");

export class LaneRequest implements EdgeRequest {
  readonly httpVersion = "1.1";
  readonly httpVersionMajor = 1;
  readonly httpVersionMinor = 1;
  readonly method: "GET" | "HEAD";
  readonly url: string;
  readonly headers: IncomingHttpHeaders;
  readonly rawHeaders: string[];
  readonly socket: Socket;
  /** Whether the client wants the connection closed after the response. */
  readonly closes: boolean;

  constructor(
    method: "GET" | "HEAD",
    url: string,
    headers: IncomingHttpHeaders,
    rawHeaders: string[],
    socket: Socket,
  ) {
    this.method = method;
    this.url = url;
    this.headers = headers;
    this.rawHeaders = rawHeaders;
    this.socket = socket;
    this.closes = headers.connection !== undefined && headers.connection.toLowerCase() === "close";
  }
}

/** `other`: node:http reads it. `incomplete`: it may become a head of the strict form with the next bytes. */
export type ParsedHead = LaneRequest | "incomplete" | "other";

export class HeadParser {
  readonly #names = new HeaderNames();
  /** Where the last head ended that was complete. */
  end = 0;

  /** Reads the head that begins at `start`. */
  parse(bytes: Buffer, start: number, socket: Socket): ParsedHead {
    const length = Math.min(bytes.length, start + headBytesMax);
    const tooLong = bytes.length > length ? "other" : "incomplete";
    const isHead = bytes[start] === 0x48;
    const method = isHead ? "HEAD" : "GET";
    const target = afterWord(bytes, start, length, isHead ? headWord : getWord);
    if (target < 0) return target === isPrefix ? tooLong : "other";
    let at = target;
    while (at < length && ((kinds[bytes[at] as number] as number) & inTarget) !== 0) at += 1;
    if (at === length) return bytes[target] === 0x2f || target === length ? tooLong : "other";
    if (bytes[target] !== 0x2f || bytes[at] !== space) return "other";
    const targetEnd = at;
    at = afterWord(bytes, at + 1, length, versionLine);
    if (at < 0) return at === isPrefix ? tooLong : "other";
    const headers: IncomingHttpHeaders = {};
    const rawHeaders: string[] = [];
    at = this.#parseHeaders(bytes, at, length, headers, rawHeaders);
    if (at < 0) return at === isPrefix ? tooLong : "other";
    if (headers.host === undefined) return "other";
    this.end = at;
    return new LaneRequest(method, bytes.toString("latin1", target, targetEnd), headers, rawHeaders, socket);
  }

  /** Where the head ends, or {@link isPrefix}, or {@link isOther}. */
  #parseHeaders(
    bytes: Buffer,
    start: number,
    length: number,
    headers: IncomingHttpHeaders,
    rawHeaders: string[],
  ): number {
    let at = start;
    while (at < length) {
      if (bytes[at] === CR) {
        if (at + 1 === length) return isPrefix;
        return bytes[at + 1] === LF ? at + 2 : isOther;
      }
      const nameStart = at;
      let hash = 0;
      let byte = bytes[at] as number;
      while (at < length && ((kinds[byte] as number) & inToken) !== 0) {
        hash = (Math.imul(hash, 31) + byte) | 0;
        at += 1;
        byte = bytes[at] as number;
      }
      if (at === length) return isPrefix;
      if (byte !== colon || at === nameStart) return isOther;
      const name = this.#names.of(bytes, nameStart, at, hash);
      at += 1;
      while (at < length && (bytes[at] === space || bytes[at] === tab)) at += 1;
      const valueStart = at;
      // Most clients send a header with the same value each time.
      let valueEnd = name.endOfSameValue(bytes, at, length);
      let value = name.lastValue;
      if (valueEnd === 0) {
        while (at < length && ((kinds[bytes[at] as number] as number) & inValue) !== 0) at += 1;
        if (at + 1 >= length) return at === length || bytes[at] === CR ? isPrefix : isOther;
        if (bytes[at] !== CR || bytes[at + 1] !== LF) return isOther;
        valueEnd = at;
        while (valueEnd > valueStart && (bytes[valueEnd - 1] === space || bytes[valueEnd - 1] === tab))
          valueEnd -= 1;
        value = bytes.toString("latin1", valueStart, valueEnd);
        name.keep(value);
      } else {
        at = valueEnd;
      }
      at += 2;
      if (name.isOther || headers[name.lower] !== undefined || rawHeaders.length === 2 * headersMax)
        return isOther;
      if (name.lower === "connection" && !isKeptOrClosed(value)) return isOther;
      headers[name.lower] = value;
      rawHeaders.push(name.text, value);
    }
    return isPrefix;
  }
}

function isKeptOrClosed(value: string): boolean {
  return value === "keep-alive" || /^(?:close|keep-alive)$/i.test(value);
}

const getWord = Buffer.from("GET ", "latin1");
const headWord = Buffer.from("HEAD ", "latin1");
const isPrefix = -1;
const isOther = -2;

/** Where `bytes` go on after `word`. */
function afterWord(bytes: Buffer, start: number, length: number, word: Buffer): number {
  for (let index = 0; index < word.length; index += 1) {
    if (start + index === length) return isPrefix;
    if (bytes[start + index] !== word[index]) return isOther;
  }
  return start + word.length;
}

function kindsOfBytes(): Uint8Array {
  const table = new Uint8Array(256);
  const mark = (characters: RegExp, kind: number): void => {
    for (let code = 0; code < 128; code += 1) {
      if (characters.test(String.fromCharCode(code))) table[code] = (table[code] as number) | kind;
    }
  };
  mark(/[!#$%&'*+.^_`|~0-9A-Za-z-]/, inToken);
  // RFC 9112 §3.2.1 with RFC 3986 §3.3 and §3.4.
  mark(/[\w.~!$&'()*+,;=:@/?%-]/, inTarget);
  mark(/[\t\x20-\x7e]/, inValue);
  return table;
}
