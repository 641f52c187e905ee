/**
 * A keep-alive connection of the stress test: plain sockets, several requests in one write, heads parsed just far enough,
 * and every byte of a body compared with the version that its ETag names, as it comes. It costs little, because the server
 * is to be busy and not the client.
 */
import { connect, type Socket } from "node:net";
import { testBucket } from "../../support/replica-fixture.ts";
import { keyOf, namedBy, sizeOf } from "./stress-objects.ts";

export interface CheckedRead {
  readonly number: number;
  readonly start: number;
  readonly end: number;
  readonly isWhole: boolean;
  /** An older version is wrong, because the cache has forgotten it. */
  readonly versionMin: number;
  /** The client leaves when it has so many bytes of the body. */
  readonly leavesAfter: number;
}

export interface ConnectionOptions {
  readonly port: number;
  /** The next requests, which go out together; none ends the connection. */
  readonly next: () => CheckedRead[];
  /** The bytes of the version that an ETag names. */
  readonly expected: (etag: string) => Buffer;
  /** How long a client rests before it takes more bytes; 0 for not at all. */
  readonly restMs: () => number;
  readonly right: () => void;
  readonly wrong: (what: string) => void;
  /** An answer that is no object: its status line and its body. */
  readonly other: (answer: string) => void;
}

/** Requests whose answers did not come whole. */
export interface Unanswered {
  readonly left: number;
  readonly cut: number;
}

const headEnd = Buffer.from("\r\n\r\n");
/** Of all connections: bodies are compared and forgotten. */
const scratch = Buffer.allocUnsafeSlow(256 * 1024);

export class CheckedConnection {
  readonly #options: ConnectionOptions;
  readonly #socket: Socket;
  readonly #ended = Promise.withResolvers<Unanswered>();
  #queue: CheckedRead[] = [];
  /** The first bytes of a head, kept until the rest has come. */
  #partialHead: Buffer | undefined;
  #expected: Buffer | undefined;
  #etag = "";
  /** The status line of an answer that is no object, and its body so far. */
  #other = "";
  #offset = 0;
  #owedBytes = 0;
  #inHead = true;
  #isLeaving = false;
  #hasFailed = false;

  constructor(options: ConnectionOptions) {
    this.#options = options;
    this.#socket = connect({
      port: options.port,
      host: "127.0.0.1",
      noDelay: true,
      onread: { buffer: scratch, callback: (length, buffer) => this.#read(buffer as Buffer, length) },
    });
    this.#socket.on("connect", () => this.#ask());
    this.#socket.on("error", () => {});
    this.#socket.on("close", () => this.#ended.resolve(this.#unanswered()));
  }

  /** When the connection is closed, by either side. */
  get ended(): Promise<Unanswered> {
    return this.#ended.promise;
  }

  #unanswered(): Unanswered {
    const count = this.#queue.length - (this.#hasFailed ? 1 : 0);
    return this.#isLeaving || this.#hasFailed ? { left: count, cut: 0 } : { left: 0, cut: count };
  }

  #ask(): void {
    this.#queue = this.#options.next();
    if (this.#queue.length === 0) {
      this.#socket.destroy();
      return;
    }
    let heads = "";
    for (const { number, start, end, isWhole } of this.#queue) {
      const range = isWhole ? "" : `Range: bytes=${start}-${end - 1}\r\n`;
      heads += `GET /${testBucket}/${keyOf(number)} HTTP/1.1\r\nHost: stress\r\n${range}\r\n`;
    }
    this.#socket.write(heads, "latin1");
  }

  #read(buffer: Buffer, length: number): boolean {
    for (let at = 0; at < length && !this.#socket.destroyed; ) {
      at = this.#inHead ? this.#readHead(buffer, at, length) : this.#readBody(buffer, at, length);
    }
    const restMs = this.#options.restMs();
    if (restMs > 0 && !this.#socket.destroyed) {
      this.#socket.pause();
      setTimeout(() => this.#socket.resume(), restMs);
    }
    return true;
  }

  #readHead(buffer: Buffer, at: number, length: number): number {
    const known = this.#partialHead?.length ?? 0;
    const rest = buffer.subarray(at, length);
    const head = this.#partialHead ? Buffer.concat([this.#partialHead, rest]) : rest;
    const end = head.indexOf(headEnd);
    if (end < 0) {
      this.#partialHead = Buffer.from(head);
      return length;
    }
    this.#partialHead = undefined;
    this.#begin(head.toString("latin1", 0, end + 2));
    return at + end + headEnd.length - known;
  }

  #begin(head: string): void {
    const read = this.#queue[0];
    if (read === undefined) return this.#fail(`an answer that nobody asked for: ${head}`);
    const { number, start, end, isWhole, versionMin } = read;
    this.#inHead = false;
    const status = Number(head.slice(9, 12));
    this.#owedBytes = Number(valueOf(head, "content-length"));
    this.#expected = undefined;
    this.#other = status === 200 || status === 206 ? "" : `${head.slice(9, head.indexOf("\r\n"))} `;
    if (this.#other !== "") return;
    this.#etag = valueOf(head, "etag").slice(1, -1);
    const named = namedBy(this.#etag);
    if (named?.number !== number) return this.#fail(`ETag ${this.#etag}`);
    if (named.version < versionMin)
      return this.#fail(`version ${named.version} after ${versionMin} was cleared`);
    const isRight =
      status === (isWhole ? 200 : 206) &&
      this.#owedBytes === end - start &&
      (isWhole || valueOf(head, "content-range") === `bytes ${start}-${end - 1}/${sizeOf(number)}`);
    if (!isRight) return this.#fail(`bytes ${start}-${end - 1} are answered with ${head}`);
    this.#expected = this.#options.expected(this.#etag);
    this.#offset = start;
  }

  #readBody(buffer: Buffer, at: number, length: number): number {
    const count = Math.min(this.#owedBytes, length - at);
    const expected = this.#expected;
    if (expected?.compare(buffer, at, at + count, this.#offset, this.#offset + count)) {
      const wrongAt = expected.subarray(this.#offset).findIndex((byte, index) => byte !== buffer[at + index]);
      const shown = buffer.toString("hex", at + wrongAt, Math.min(length, at + wrongAt + 16));
      this.#fail(`wrong bytes from offset ${this.#offset + wrongAt} on: ${shown}`);
      return length;
    }
    this.#offset += count;
    this.#owedBytes -= count;
    if (this.#other !== "") this.#other += buffer.toString("latin1", at, at + count);
    const read = this.#queue[0] as CheckedRead;
    if (expected && this.#owedBytes > 0 && this.#offset - read.start > read.leavesAfter) {
      this.#isLeaving = true;
      this.#socket.resetAndDestroy();
    } else if (this.#owedBytes === 0) {
      this.#inHead = true;
      this.#queue.shift();
      if (expected) this.#options.right();
      else this.#options.other(this.#other);
      if (this.#queue.length === 0) this.#ask();
    }
    return at + count;
  }

  #fail(what: string): void {
    this.#hasFailed = true;
    this.#options.wrong(`${keyOf(this.#queue[0]?.number ?? -1)}, ETag ${this.#etag}: ${what}`);
    this.#socket.destroy();
  }
}

/** Of a header, by its name in lower case; empty where it is missing. */
function valueOf(head: string, name: string): string {
  const at = head.toLowerCase().indexOf(`\r\n${name}:`);
  if (at < 0) return "";
  const start = at + name.length + 3;
  return head.slice(start, head.indexOf("\r\n", start)).trim();
}
