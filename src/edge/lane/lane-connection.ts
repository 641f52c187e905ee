/**
 * One connection in the lean lane: it reads heads, has them served one after the other, and sends the responses. A head
 * that is not of the strict form goes to node:http, with the connection and all bytes that were read, as if the lane had
 * never been there; it does not come back.
 *
 * Invariants:
 * 1. One request at a time is served. Of the next ones, heads wait (pipelines.ts), and the bytes after them. Where as many
 *    wait as may, or {@link headBytesMax} bytes, the connection is not read any more until the response has ended. Nor is
 *    it read while requests are left to a later turn of the event loop.
 * 2. A connection is handed over only while no request is served, and the kernel has all bytes of the responses before.
 * 3. The scratch buffer is used again only if the kernel has taken all of it.
 * 4. What is read lies in a buffer that the next read of any connection uses. So `#rest` and bytes that are handed over are
 *    copies.
 * 5. While the connection is not idle after a read, its socket has a timer. Node restarts a timer with each read and each
 *    write, so a connection that was idle at the last sweep has none: its hits are sent before the read has ended.
 */
import { METHODS } from "node:http";
import type { Socket } from "node:net";
import { type Pipelines, pipelinedRequestsMax } from "../pipelines.ts";
import type { EdgeRequest, EdgeResponse } from "./edge-request.ts";
import { type HeadParser, headBytesMax, type LaneRequest } from "./head-parser.ts";
import { LaneResponse, type ResponseConnection } from "./lane-response.ts";
import { readIntoBuffer } from "./read-buffer.ts";

/** A head that comes in more reads than this is node:http's: each of them would be read from its start again. */
const readsOfHeadMax = 8;

/** A response that is no longer than this is copied into one buffer, which costs less than a write of two. */
export const scratchBytes = 16 * 1024;

/** A longer response gets a callback with its write. A shorter one is mostly taken at once, and needs none. */
const nearlyAlwaysTakenBytes = 64 * 1024;

/** Requests of one connection that are served in a row, before others have their turn. */
const servedInTurnMax = 16;

const nothing = Buffer.alloc(0);

/** CONNECT cuts a response before it. */
const methods = METHODS.filter((method) => method !== "CONNECT");
const methodLengthMax = Math.max(...methods.map(({ length }) => length));

/** What all connections of the lane share. */
export interface LaneContext {
  readonly parser: HeadParser;
  /** Used for one write at a time. */
  scratch: Buffer;
  /** Of one read at a time. */
  readonly readBuffer: Buffer;
  readonly isTls: boolean;
  readonly pipelines: Pipelines;
  serve(request: EdgeRequest, response: EdgeResponse): void;
  /** To node:http. */
  handOver(connection: LaneConnection, socket: Socket): void;
  headEnd(keepsAlive: boolean): string;
  stalled(socket: Socket): void;
  /** The client has closed its side in the middle of a head. */
  brokenHead(socket: Socket): void;
  closed(connection: LaneConnection): void;
}

export class LaneConnection implements ResponseConnection {
  readonly socket: Socket;
  /** For the sweeps: how many of them have found the connection without a request, in a row. */
  idleSweeps = 0;
  /** How many have found it with a head that is not complete, or without a first one. */
  lateSweeps = 0;
  readonly #context: LaneContext;
  #hasServed = false;
  /** Parsed and not served. */
  readonly #waiting: LaneRequest[] = [];
  /** Read and not parsed. */
  #rest: Buffer = nothing;
  #readsOfHead = 0;
  #response: LaneResponse | undefined;
  #isTaking = false;
  /** Whether requests in `#rest` are left to a later turn of the event loop. */
  #awaitsTurn = false;
  /** Whether it is handed over or given up, and no longer the lane's. */
  #isOver = false;
  readonly #stallTimeoutMs: number;
  #hasTimer = false;

  constructor(socket: Socket, context: LaneContext, stallTimeoutMs: number) {
    this.socket = socket;
    this.#context = context;
    this.#stallTimeoutMs = stallTimeoutMs;
    this.#startTimer();
    if (context.isTls || !readIntoBuffer(socket, context.readBuffer, this.#onRead))
      socket.on("data", this.#onData);
    socket.on("end", this.#onEnd);
    socket.on("error", this.#onError);
    socket.on("timeout", this.#onTimeout);
    socket.on("close", this.#onClose);
  }

  /** Between two requests. */
  get isIdle(): boolean {
    return this.#hasServed && this.#response === undefined && this.#rest.length === 0;
  }

  /** For a sweep's time at least nothing has come on it: its client opened it before it had a request. */
  get isUnused(): boolean {
    return !this.#hasServed && this.#rest.length === 0 && this.lateSweeps > 1;
  }

  /** It owes the rest of a head, or the first one. */
  get owesHead(): boolean {
    return this.#response === undefined && (!this.#hasServed || this.#rest.length > 0);
  }

  /** For the sweeps: it is idle. */
  stopTimer(): void {
    if (!this.#hasTimer) return;
    this.#hasTimer = false;
    this.socket.setTimeout(0);
  }

  #startTimer(): void {
    this.#hasTimer = true;
    this.socket.setTimeout(this.#stallTimeoutMs);
  }

  /** From now on nothing is read. */
  leave(): void {
    this.#isOver = true;
    this.#rest = nothing;
    this.socket.off("data", this.#onData);
    this.socket.off("end", this.#onEnd);
  }

  headEnd(keepsAlive: boolean): string {
    return this.#context.headEnd(keepsAlive);
  }

  destroy(): void {
    this.socket.destroy();
  }

  send(head: string, bytes: Buffer | string, onWritten?: (error?: Error | null) => void): void {
    const { socket } = this;
    if (head === "") {
      socket.write(bytes, onWritten);
      return;
    }
    socket.cork();
    socket.write(head, "latin1");
    socket.write(bytes, onWritten);
    socket.uncork();
  }

  sendLast(head: string, body: string | Buffer): void {
    const { socket } = this;
    const lengthBytes = head.length + (typeof body === "string" ? Buffer.byteLength(body) : body.length);
    if (lengthBytes > nearlyAlwaysTakenBytes || this.#context.isTls) {
      this.#write(head, body, lengthBytes, this.#onFlushed);
      return;
    }
    this.#write(head, body, lengthBytes);
    if (socket.writableLength > 0) socket.write(nothing, this.#onFlushed);
    else if (socket.errored === null && !socket.destroyed) this.#finish();
  }

  #write(head: string, body: string | Buffer, lengthBytes: number, onFlushed?: () => void): void {
    const { socket } = this;
    if (lengthBytes <= scratchBytes) {
      socket.write(this.#joined(head, body, lengthBytes), onFlushed);
      if (socket.writableLength > 0) this.#context.scratch = Buffer.allocUnsafeSlow(scratchBytes);
      return;
    }
    socket.cork();
    if (head !== "") socket.write(head, "latin1");
    socket.write(body, onFlushed);
    socket.uncork();
  }

  /** Of TLS each needs a buffer of its own, because it is read later. */
  #joined(head: string, body: string | Buffer, lengthBytes: number): Buffer {
    const { isTls, scratch } = this.#context;
    const buffer = isTls ? Buffer.allocUnsafe(lengthBytes) : scratch;
    buffer.write(head, 0, "latin1");
    if (typeof body === "string") buffer.write(body, head.length, "utf8");
    // Not `set`: of shared memory it copies word by word, which takes ten times as long.
    else body.copy(buffer, head.length);
    return isTls ? buffer : buffer.subarray(0, lengthBytes);
  }

  readonly #onFlushed = (error?: Error | null): void => {
    if (!error && !this.socket.destroyed) this.#finish();
  };

  /** The kernel has the whole response. */
  #finish(): void {
    const response = this.#response;
    if (response === undefined) return;
    this.#response = undefined;
    response.close(true);
    if (!response.keepsAlive) {
      this.#forgetRest();
      this.socket.destroySoon();
    } else if (!this.#isTaking) {
      this.#goOn();
    }
  }

  readonly #goOn = (): void => {
    const { socket } = this;
    if (socket.destroyed || socket.writableEnded || this.#isOver || this.#response) return;
    this.#awaitsTurn = false;
    while (this.#waiting.length > 0) {
      this.#context.pipelines.leave(1);
      this.#isTaking = true;
      this.#serve(this.#waiting.shift() as LaneRequest);
      this.#isTaking = false;
      if (this.#response || socket.destroyed || socket.writableEnded) break;
    }
    const rest = this.#rest;
    this.#rest = nothing;
    if (this.#response) this.#wait(rest);
    else if (rest.length > 0) this.#take(rest);
    if (!this.#isOver && !this.#isFull) socket.resume();
  };

  get #isFull(): boolean {
    const isFull = this.#waiting.length + 1 >= pipelinedRequestsMax || this.#rest.length >= headBytesMax;
    return isFull || this.#awaitsTurn;
  }

  #forgetRest(): void {
    this.#rest = nothing;
    this.#context.pipelines.leave(this.#waiting.length);
    this.#waiting.length = 0;
  }

  readonly #onRead = (lengthBytes: number, buffer: Buffer): boolean => {
    const bytes = buffer.subarray(0, lengthBytes);
    // Nobody reads it any more, or node:http does, which has given the connection up itself.
    if (this.#isOver) return this.socket.push(Buffer.from(bytes));
    this.#onData(bytes);
    return true;
  };

  /** What stays after the read that brought it. Not from Node's pool, which a few bytes would keep in memory. */
  #kept(bytes: Buffer): Buffer {
    if (bytes.buffer !== this.#context.readBuffer.buffer) return bytes;
    const kept = Buffer.allocUnsafeSlow(bytes.length);
    bytes.copy(kept);
    return kept;
  }

  readonly #onData = (bytes: Buffer): void => {
    // After the response that closes the connection. The client may have sent more before it came.
    if (this.socket.writableEnded) return;
    const all = this.#rest.length === 0 ? bytes : Buffer.concat([this.#rest, bytes]);
    this.#rest = nothing;
    if (this.#response === undefined) this.#take(all);
    else this.#wait(all);
    if (!this.#hasTimer && !this.isIdle && !this.#isOver) this.#startTimer();
  };

  /** Keeps what came before the response to an earlier request has ended. */
  #wait(bytes: Buffer): void {
    const { parser, pipelines } = this.#context;
    let at = 0;
    while (at < bytes.length && this.#waiting.length + 1 < pipelinedRequestsMax) {
      const head = parser.parse(bytes, at, this.socket);
      // node:http, too, cuts a response where the next request is none.
      if (head === "other" && !mayBeRequest(bytes, at)) {
        this.socket.destroy();
        return;
      }
      if (typeof head === "string") break;
      if (!pipelines.tryWait()) {
        this.socket.destroy();
        return;
      }
      at = parser.end;
      this.#waiting.push(head);
    }
    this.#rest = at === bytes.length ? nothing : this.#kept(bytes.subarray(at));
    if (this.#isFull) this.socket.pause();
  }

  /** Serves the requests in `bytes`, as far as their responses are sent at once. */
  #take(bytes: Buffer): void {
    const { parser } = this.#context;
    let at = 0;
    let served = 0;
    this.#isTaking = true;
    while (at < bytes.length) {
      const head = parser.parse(bytes, at, this.socket);
      if (typeof head === "string") {
        this.#keep(bytes.subarray(at), head);
        break;
      }
      at = parser.end;
      this.#serve(head);
      if (this.#response) {
        if (at < bytes.length) this.#wait(bytes.subarray(at));
        break;
      }
      if (this.socket.destroyed || this.socket.writableEnded) break;
      served += 1;
      if (served === servedInTurnMax && at < bytes.length) {
        this.#rest = this.#kept(bytes.subarray(at));
        this.#awaitsTurn = true;
        this.socket.pause();
        setImmediate(this.#goOn);
        break;
      }
    }
    this.#isTaking = false;
  }

  #serve(request: LaneRequest): void {
    this.#hasServed = true;
    this.#readsOfHead = 0;
    this.idleSweeps = 0;
    this.lateSweeps = 0;
    const response = new LaneResponse(this, request.method, !request.closes);
    this.#response = response;
    this.#context.serve(request, response);
  }

  /** The bytes are no whole head. */
  #keep(bytes: Buffer, why: "incomplete" | "other"): void {
    this.#readsOfHead += 1;
    if (why === "incomplete" && this.#readsOfHead <= readsOfHeadMax) this.#rest = this.#kept(bytes);
    else this.#handOver(this.#kept(bytes));
  }

  #handOver(bytes: Buffer): void {
    const { socket } = this;
    this.leave();
    socket.off("error", this.#onError);
    socket.off("timeout", this.#onTimeout);
    socket.off("close", this.#onClose);
    // Not flowing, so that the bytes wait for the listener of node:http.
    socket.pause();
    socket.unshift(bytes);
    this.#context.handOver(this, socket);
    socket.resume();
  }

  /** The client has closed its side. As with node:http, it gets no rest of a response. */
  readonly #onEnd = (): void => {
    const owesHead = this.#rest.length > 0;
    if (this.#response || this.#awaitsTurn) this.socket.destroy();
    else if (owesHead) this.#context.brokenHead(this.socket);
    else this.socket.end();
  };

  readonly #onError = (): void => {
    this.socket.destroy();
  };

  readonly #onTimeout = (): void => {
    if (!this.isIdle) this.#context.stalled(this.socket);
  };

  readonly #onClose = (): void => {
    const response = this.#response;
    this.#response = undefined;
    this.#forgetRest();
    response?.close(false);
    this.#context.closed(this);
  };
}

/** Whether the bytes begin with a method that llhttp knows, as far as they are there. */
function mayBeRequest(bytes: Buffer, start: number): boolean {
  const text = bytes.toString("latin1", start, start + methodLengthMax + 1);
  return methods.some((method) => `${method} `.startsWith(text) || text.startsWith(`${method} `));
}
