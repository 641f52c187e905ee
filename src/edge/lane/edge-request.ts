/**
 * A request and its response, as everything above the connection sees them. node:http's own messages fit, and so do those
 * of the lean lane, so one Exchange serves both.
 */
import type { IncomingHttpHeaders } from "node:http";
import type { Socket } from "node:net";
import type { MessageHead } from "../../base/http/framing-fault.ts";

export interface EdgeRequest extends MessageHead {
  readonly method?: string | undefined;
  /** The target as the client sent it. */
  readonly url?: string | undefined;
  readonly headers: IncomingHttpHeaders;
  readonly rawHeaders: string[];
  readonly socket: Socket;
}

export interface EdgeResponse {
  /** The exchange that ends when this response closes. */
  exchange: { end(): void } | undefined;
  readonly statusCode: number;
  readonly headersSent: boolean;
  /** Whether `end` was called. */
  readonly writableEnded: boolean;
  /** Whether the kernel has all of it. */
  readonly writableFinished: boolean;
  readonly destroyed: boolean;
  readonly closed: boolean;
  /** Set to false before the head, it closes the connection after the response. */
  shouldKeepAlive: boolean;
  setHeader(name: string, value: string): unknown;
  /** `headers` is flat. */
  writeHead(status: number, headers: string[]): unknown;
  /** `lines` are laid out and checked (headers/header-lines.ts). */
  writeLines(status: number, lines: string): unknown;
  write(bytes: Buffer | string, onWritten?: (error?: Error | null) => void): unknown;
  end(body?: string | Buffer): unknown;
  /** Cuts the connection. */
  destroy(): unknown;
  once(event: "close", listener: () => void): unknown;
}
