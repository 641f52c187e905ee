/**
 * The response to a request of the lean lane: what an Exchange and its handlers use of node:http's ServerResponse, with
 * the same bytes on the connection. Head and body leave in one write.
 *
 * Every body has a Content-Length, as all of Orca's have.
 */
import { STATUS_CODES } from "node:http";
import { isHeaderName, isHeaderValue } from "../header-value.ts";
import type { EdgeResponse } from "./edge-request.ts";

/** The connection, as its response sees it. */
export interface ResponseConnection {
  /** Sends the last bytes of the response. */
  sendLast(head: string, body: string | Buffer): void;
  /** Sends some bytes of the response. */
  send(head: string, bytes: Buffer | string, onWritten?: (error?: Error | null) => void): void;
  /** What ends each head: `Date`, `Connection`, and the empty line. */
  headEnd(keepsAlive: boolean): string;
  destroy(): void;
}

export class LaneResponse implements EdgeResponse {
  exchange: { end(): void } | undefined = undefined;
  statusCode = 200;
  headersSent = false;
  writableEnded = false;
  writableFinished = false;
  destroyed = false;
  closed = false;
  shouldKeepAlive: boolean;
  /** What the head says. A client to which it promises the connection may already use it for its next request. */
  keepsAlive = false;
  readonly #connection: ResponseConnection;
  readonly #hasBody: boolean;
  /** Not sent yet. */
  #head = "";
  #set = "";
  #onClose: (() => void)[] | undefined;

  constructor(connection: ResponseConnection, method: "GET" | "HEAD", shouldKeepAlive: boolean) {
    this.#connection = connection;
    this.#hasBody = method === "GET";
    this.shouldKeepAlive = shouldKeepAlive;
  }

  setHeader(name: string, value: string): void {
    this.#set += line(name, value);
  }

  writeHead(status: number, headers: readonly string[]): void {
    let lines = "";
    for (let index = 0; index < headers.length; index += 2) {
      lines += line(headers[index] as string, headers[index + 1] as string);
    }
    this.writeLines(status, lines);
  }

  writeLines(status: number, lines: string): void {
    this.statusCode = status;
    this.headersSent = true;
    this.keepsAlive = this.shouldKeepAlive;
    this.#head = statusLine(status) + this.#set + lines + this.#connection.headEnd(this.keepsAlive);
  }

  write(bytes: Buffer | string, onWritten?: (error?: Error | null) => void): void {
    this.#connection.send(this.#takeHead(), bytes, onWritten);
  }

  end(body: string | Buffer = ""): void {
    this.writableEnded = true;
    this.#connection.sendLast(this.#takeHead(), this.#hasBody ? body : "");
  }

  destroy(): void {
    this.destroyed = true;
    this.#connection.destroy();
  }

  once(_event: "close", listener: () => void): void {
    this.#onClose ??= [];
    this.#onClose.push(listener);
  }

  /** @internal For the connection: the kernel has all of it, or the connection is gone. Exactly once. */
  close(isFinished: boolean): void {
    this.writableFinished = isFinished;
    this.destroyed = true;
    this.closed = true;
    this.exchange?.end();
    for (const listener of this.#onClose ?? []) listener();
  }

  #takeHead(): string {
    const head = this.#head;
    this.#head = "";
    return head;
  }
}

const statusLines: string[] = [];

function statusLine(status: number): string {
  statusLines[status] ??= `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? "unknown"}\r\n`;
  return statusLines[status];
}

/** @throws TypeError for what no header can hold, as node:http does: a line end in it would begin another header. */
function line(name: string, value: string): string {
  if (!isHeaderName(name) || !isHeaderValue(value)) throw new TypeError(`Invalid header "${name}"`);
  return `${name}: ${value}\r\n`;
}
