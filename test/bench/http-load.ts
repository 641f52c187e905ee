/**
 * A load generator that costs less than what it measures: keep-alive GETs over plain sockets, heads parsed just far
 * enough to find the body's end, bodies read into one buffer and forgotten. One process on its own core drives the
 * servers in turn, so that all of them meet the same client.
 */
import { connect, type Socket } from "node:net";

export interface LoadRequest {
  readonly path: string;
  /** `start-end`, inclusive, as in a Range header; empty for the whole object. */
  readonly range: string;
}

export interface LoadOptions {
  readonly port: number;
  readonly connections: number;
  /** No request but the first is begun after this long. */
  readonly durationMs: number;
  /** The next request of connection `connection`. */
  next(connection: number): LoadRequest;
}

export interface LoadResult {
  readonly requests: number;
  readonly bytes: number;
  readonly seconds: number;
}

const headEnd = Buffer.from("\r\n\r\n");
/** Shared by all connections: bodies are thrown away, so one may overwrite the other's. */
const scratch = Buffer.allocUnsafeSlow(1024 * 1024);

interface Answer {
  readonly bodyBytes: number;
  readonly firstByteMs: number;
}

/** One keep-alive connection that asks one thing at a time. */
export class LoadConnection {
  readonly #socket: Socket;
  #owedBytes = 0;
  #bodyBytes = 0;
  #sentMs = 0;
  #firstByteMs = 0;
  #inHead = true;
  #partialHead: Buffer | undefined;
  #answer: PromiseWithResolvers<Answer> | undefined;
  #onBody: ((bytes: Buffer) => void) | undefined;

  constructor(port: number, onBody?: (bytes: Buffer) => void) {
    this.#onBody = onBody;
    this.#socket = connect({
      port,
      host: "127.0.0.1",
      noDelay: true,
      onread: { buffer: scratch, callback: (length, buffer) => this.#read(length, buffer as Buffer) },
    });
    this.#socket.on("error", (error) => this.#answer?.reject(error));
    this.#socket.on("close", () => this.#answer?.reject(new Error("the server closed the connection")));
  }

  /** Resolves with the body's length once its last byte is here. */
  get(request: LoadRequest): Promise<Answer> {
    this.#answer = Promise.withResolvers<Answer>();
    this.#inHead = true;
    this.#firstByteMs = 0;
    this.#sentMs = performance.now();
    const range = request.range === "" ? "" : `Range: bytes=${request.range}\r\n`;
    this.#socket.write(`GET ${request.path} HTTP/1.1\r\nHost: bench\r\n${range}\r\n`);
    return this.#answer.promise;
  }

  pause(): void {
    this.#socket.pause();
  }

  resume(): void {
    this.#socket.resume();
  }

  close(): void {
    this.#answer = undefined;
    this.#socket.destroy();
  }

  #read(length: number, buffer: Buffer): boolean {
    let body = buffer.subarray(0, length);
    if (this.#inHead) {
      const head: Buffer = this.#partialHead ? Buffer.concat([this.#partialHead, body]) : body;
      const end = head.indexOf(headEnd);
      if (end < 0) {
        this.#partialHead = Buffer.from(head);
        return true;
      }
      this.#partialHead = undefined;
      this.#begin(head.toString("latin1", 0, end));
      body = head.subarray(end + headEnd.length);
    }
    if (body.length > 0 && this.#firstByteMs === 0) this.#firstByteMs = performance.now() - this.#sentMs;
    this.#onBody?.(body);
    this.#owedBytes -= body.length;
    if (this.#owedBytes === 0) {
      const answer = this.#answer;
      this.#answer = undefined;
      answer?.resolve({ bodyBytes: this.#bodyBytes, firstByteMs: this.#firstByteMs });
    }
    return true;
  }

  #begin(head: string): void {
    this.#inHead = false;
    const status = Number(head.slice(9, 12));
    const length = /\r\ncontent-length: *(\d+)/i.exec(head);
    if ((status !== 200 && status !== 206) || !length) {
      this.#answer?.reject(new Error(`the server answered: ${head.split("\r\n", 1)[0]}`));
      this.#socket.destroy();
    }
    this.#bodyBytes = Number(length?.[1]);
    this.#owedBytes = this.#bodyBytes;
  }
}

/** Drives one server for a while and counts what came. */
export async function load(options: LoadOptions): Promise<LoadResult> {
  const startedMs = performance.now();
  const endMs = startedMs + options.durationMs;
  let requests = 0;
  let bytes = 0;
  await Promise.all(
    Array.from({ length: options.connections }, async (_, index) => {
      const connection = new LoadConnection(options.port);
      do {
        const answer = await connection.get(options.next(index));
        requests += 1;
        bytes += answer.bodyBytes;
      } while (performance.now() < endMs);
      connection.close();
    }),
  );
  return { requests, bytes, seconds: (performance.now() - startedMs) / 1000 };
}
