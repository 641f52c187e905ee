/**
 * A minimal HTTP/1.1 client for servers of objects (origins and stores). It reads a body from the socket straight into the
 * memory that it is served from, and writes a body from the memory that it lies in. It exists because `node:http` cannot
 * receive a body into given memory. It leaves out what an object store does not need: redirects, compression, chunked bodies.
 */
import type { ConnectionOptions } from "node:tls";
import type { Clock } from "../base/clock.ts";
import { OrcaError } from "../base/orca-error.ts";
import { type HeadReceiver, HttpConnection, type HttpRequest, type HttpTimeouts } from "./http-connection.ts";
import { ReadTurns } from "./read-turns.ts";
import type { RemoteFaults } from "./remote-faults.ts";
import type { ResponseHead } from "./response-head.ts";

export interface HttpClientOptions extends HttpTimeouts {
  readonly server: { readonly protocol: "http:" | "https:"; readonly host: string; readonly port: number };
  readonly faults: RemoteFaults;
  readonly clock: Clock;
  /** Idle connections that stay open. More of them save handshakes after a lull, and cost the server sockets. */
  readonly connectionsIdleMax: number;
  /** Shorter than servers' own idle timeouts, so that the server seldom closes first. */
  readonly idleTimeoutMs?: number;
  readonly tls?: ConnectionOptions | undefined;
}

export class HttpClient {
  readonly stats = { connectionsOpened: 0, connectionsReused: 0, staleRetries: 0 };
  readonly #options: HttpClientOptions;
  /** The connection used last is taken first, so that connections that are not needed grow old and close. */
  readonly #idle: HttpConnection[] = [];
  readonly #turns = new ReadTurns();
  #closed = false;

  constructor(options: HttpClientOptions) {
    this.#options = options;
  }

  get connectionsIdle(): number {
    return this.#idle.length;
  }

  /**
   * Sends one request. Resolves with the response head when the body is in the sink that `onHead` returned, or at once
   * where it returned null. After the promise has settled, neither the sink nor the request's own body is touched.
   * Deadlines bound the connection, the head and each silence inside a body, but not a body as a whole.
   * @throws OrcaError of `faults`: unavailable (network, deadline, malformed, short) or unsupported (a 2xx body without
   *   Content-Length); invalid_request (a line break in a header); what `onHead` throws; the reason of `signal`.
   */
  async request(request: HttpRequest, onHead: HeadReceiver, signal: AbortSignal): Promise<ResponseHead> {
    signal.throwIfAborted();
    this.#checkPrintable(request);
    const reused = this.#idle.pop();
    if (!reused) return this.#connect().exchange(request, onHead, signal);
    try {
      this.stats.connectionsReused += 1;
      return await reused.exchange(request, onHead, signal);
    } catch (thrown) {
      // The server may close an idle connection just when it is used (RFC 9112 §9.3.1). That is no failed attempt.
      if (!reused.stale || signal.aborted) throw thrown;
      this.stats.staleRetries += 1;
      return this.#connect().exchange(request, onHead, signal);
    }
  }

  /** Closes idle connections, and connections in use as soon as they are idle. */
  close(): void {
    this.#closed = true;
    for (const connection of this.#idle.splice(0)) connection.destroy();
  }

  #connect(): HttpConnection {
    this.stats.connectionsOpened += 1;
    return new HttpConnection({
      ...this.#options,
      ...this.#options.server,
      turns: this.#turns,
      idleTimeoutMs: this.#options.idleTimeoutMs ?? 15_000,
      onIdle: (connection) => this.#keep(connection),
      onClosed: (connection) => this.#forget(connection),
    });
  }

  #keep(connection: HttpConnection): void {
    if (this.#closed || this.#options.connectionsIdleMax === 0) return connection.destroy();
    this.#idle.push(connection);
    if (this.#idle.length > this.#options.connectionsIdleMax) this.#idle[0]?.destroy();
  }

  #forget(connection: HttpConnection): void {
    const index = this.#idle.indexOf(connection);
    if (index !== -1) this.#idle.splice(index, 1);
  }

  /** An ETag comes from outside. A line break in it would end its header and begin another header or request. */
  #checkPrintable({ path, headers }: HttpRequest): void {
    for (const [name, text] of [["the path", path], ...Object.entries(headers)] as const) {
      if (/^[\t\x20-\x7e\x80-\xff]*$/.test(text)) continue;
      // The message does not quote the text, because it may be an ETag or a signature.
      const message = `Cannot send ${name}: its characters do not fit in a header`;
      throw new OrcaError("invalid_request", this.#options.faults.source, message);
    }
  }
}

/** @throws OrcaError config_invalid for a URL that is neither http nor https. */
export function httpServerOf(url: URL): HttpClientOptions["server"] {
  const { protocol } = url;
  if (protocol !== "http:" && protocol !== "https:") {
    throw new OrcaError(
      "config_invalid",
      "config",
      `Cannot use endpoint "${url.origin}": expected http or https`,
    );
  }
  const port = Number(url.port) || (protocol === "https:" ? 443 : 80);
  // A URL has brackets around an IPv6 address, a socket address has none.
  return { protocol, host: url.hostname.replaceAll(/^\[|\]$/g, ""), port };
}
