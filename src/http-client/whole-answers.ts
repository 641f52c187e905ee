/**
 * Requests whose answers are read whole: the XML of listings. They use `node:http`, because such bodies are chunked, which
 * the HTTP client for objects does not read, and because they are not kept as bytes. An answer has a bound, so that a
 * server cannot fill the memory.
 */
import { Agent as HttpAgent, type IncomingMessage, request as requestHttp } from "node:http";
import { Agent as HttpsAgent, request as requestHttps } from "node:https";
import type { ConnectionOptions } from "node:tls";
import { OrcaError } from "../base/orca-error.ts";
import { KiB } from "../base/units.ts";
import type { RemoteFaults } from "./remote-faults.ts";

/** The body of an error is read this far, so that its connection can be used again. */
const errorBytesMax = 64 * KiB;
/** Of the body of an error this much is kept, for the server's own code in it. */
const errorKeptBytesMax = 4 * KiB;
/** Space for a body at first. It doubles as the body grows. */
const firstBytes = 64 * KiB;
/** Shorter than servers' own idle timeouts. */
const idleTimeoutMs = 15_000;

export interface WholeAnswersOptions {
  readonly url: URL;
  readonly faults: RemoteFaults;
  readonly connectionsIdleMax: number;
  readonly tls?: ConnectionOptions | undefined;
}

export interface WholeRequest {
  /** The request target, percent-encoded. */
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  /** A longer body is an error. */
  readonly bytesMax: number;
  /** "Cannot …", for messages. */
  readonly action: string;
}

export interface WholeAnswer {
  readonly status: number;
  /** A header by its lower-case name. */
  header(name: string): string | undefined;
  /** The first 4 KiB at most if the status is no 2xx. */
  readonly body: Buffer;
}

export class WholeAnswers {
  readonly #options: WholeAnswersOptions;
  readonly #agent: HttpAgent;

  constructor(options: WholeAnswersOptions) {
    this.#options = options;
    const pool = {
      keepAlive: true,
      maxFreeSockets: Math.max(1, options.connectionsIdleMax),
      timeout: idleTimeoutMs,
    };
    this.#agent =
      options.url.protocol === "https:" ? new HttpsAgent({ ...options.tls, ...pool }) : new HttpAgent(pool);
  }

  /**
   * Sends one GET. It has no deadline of its own.
   * @throws OrcaError of `faults`: unavailable (network, a short body) or unsupported (a body that is too long); the
   *   reason of `signal`.
   */
  async get(wanted: WholeRequest, signal: AbortSignal): Promise<WholeAnswer> {
    const { faults } = this.#options;
    try {
      const response = await this.#send(wanted, signal);
      const status = response.statusCode ?? 0;
      const isWanted = status >= 200 && status < 300;
      const body = isWanted ? await this.#read(response, wanted) : await beginningOf(response);
      const header = (name: string): string | undefined => {
        const value = response.headers[name];
        return Array.isArray(value) ? value.join(", ") : value;
      };
      return { status, header, body };
    } catch (thrown) {
      if (signal.aborted) throw signal.reason;
      throw OrcaError.from(thrown, faults.unavailable, faults.source, wanted.action);
    }
  }

  /** Closes all connections. */
  close(): void {
    this.#agent.destroy();
  }

  #send({ path, headers }: WholeRequest, signal: AbortSignal): Promise<IncomingMessage> {
    const { protocol, hostname, port } = this.#options.url;
    return new Promise((resolve, reject) => {
      const request = (protocol === "https:" ? requestHttps : requestHttp)({
        agent: this.#agent,
        // A URL has brackets around an IPv6 address, a socket address has none.
        host: hostname.replaceAll(/^\[|\]$/g, ""),
        port,
        path,
        headers,
        signal,
      });
      request.on("response", resolve);
      request.on("error", reject);
      request.end();
    });
  }

  async #read(response: IncomingMessage, { bytesMax, action }: WholeRequest): Promise<Buffer> {
    // Parts are copied together, because a server may send each byte as a part of its own.
    let body = Buffer.allocUnsafe(firstBytes);
    let lengthBytes = 0;
    for await (const part of response as AsyncIterable<Buffer>) {
      const neededBytes = lengthBytes + part.length;
      if (neededBytes > bytesMax) {
        const { faults } = this.#options;
        const message = `${action}: the answer has more than ${bytesMax} bytes`;
        throw new OrcaError(faults.unsupported, faults.source, message);
      }
      if (neededBytes > body.length) {
        const larger = Buffer.allocUnsafe(Math.max(neededBytes, 2 * body.length));
        body.copy(larger, 0, 0, lengthBytes);
        body = larger;
      }
      part.copy(body, lengthBytes);
      lengthBytes = neededBytes;
    }
    return body.subarray(0, lengthBytes);
  }
}

/** Leaving the loop early destroys the connection. */
async function beginningOf(response: IncomingMessage): Promise<Buffer> {
  const kept = Buffer.alloc(errorKeptBytesMax);
  let keptBytes = 0;
  let lengthBytes = 0;
  try {
    for await (const part of response as AsyncIterable<Buffer>) {
      lengthBytes += part.length;
      keptBytes += part.copy(kept, keptBytes);
      if (lengthBytes > errorBytesMax) break;
    }
  } catch {
    // The status is known, and it decides.
  }
  return kept.subarray(0, keptBytes);
}
