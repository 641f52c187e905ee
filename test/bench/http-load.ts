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
  /** How long the body must be; a server that answers with another length fails. */
  readonly bodyBytes: number;
  /** More header lines, each with its line end. */
  readonly headers?: string;
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
  #sentMs = 0;
  #firstByteMs = 0;
  #inHead = true;
  #partialHead: Buffer | undefined;
  #request: LoadRequest | undefined;
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

  /** Resolves once the body's last byte is here; rejects where the status or the length is not what was asked for. */
  get(request: LoadRequest): Promise<Answer> {
    this.#answer = Promise.withResolvers<Answer>();
    this.#request = request;
    this.#inHead = true;
    this.#firstByteMs = 0;
    this.#sentMs = performance.now();
    const range = request.range === "" ? "" : `Range: bytes=${request.range}\r\n`;
    this.#socket.write(`GET ${request.path} HTTP/1.1\r\nHost: bench\r\n${range}${request.headers ?? ""}\r\n`);
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
      answer?.resolve({ bodyBytes: this.#request?.bodyBytes ?? 0, firstByteMs: this.#firstByteMs });
    }
    return true;
  }

  #begin(head: string): void {
    this.#inHead = false;
    const { range, bodyBytes } = this.#request as LoadRequest;
    const status = Number(head.slice(9, 12));
    const length = /\r\ncontent-length: *(\d+)/i.exec(head)?.[1] ?? "unknown";
    const statusAsked = range === "" ? 200 : 206;
    if (status !== statusAsked || Number(length) !== bodyBytes) {
      const answered = `answered ${status} with ${length} bytes`;
      this.#answer?.reject(new Error(`${answered} where ${statusAsked} with ${bodyBytes} was due`));
      this.#socket.destroy();
    }
    this.#owedBytes = bodyBytes;
  }
}

/** Drives one server for a while and counts what came. Rejects with the first failure of any connection. */
export async function load(options: LoadOptions): Promise<LoadResult> {
  const startedMs = performance.now();
  const endMs = startedMs + options.durationMs;
  let requests = 0;
  let bytes = 0;
  const connections = Array.from({ length: options.connections }, () => new LoadConnection(options.port));
  try {
    await Promise.all(
      connections.map(async (connection, index) => {
        do {
          const answer = await connection.get(options.next(index));
          requests += 1;
          bytes += answer.bodyBytes;
        } while (performance.now() < endMs);
      }),
    );
  } finally {
    // After a failure the other connections are still at it, and would take their share from who comes next.
    for (const connection of connections) connection.close();
  }
  return { requests, bytes, seconds: (performance.now() - startedMs) / 1000 };
}
