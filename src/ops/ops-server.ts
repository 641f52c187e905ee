/**
 * The HTTP listener for operators: probes, Prometheus, the status of the cluster, and endpoints that look into the cache.
 * It is apart from the clients' listener, so that a flood of clients cannot make a live replica look dead, and neither
 * port shows what belongs to the other. It shows no secrets. A network policy decides who can reach it, action-guard.ts
 * who may run actions, and token-guard.ts what needs the token of the operators, where there is one.
 *
 * All that it serves is one table of endpoints; the page at `/` lists them.
 */

import { once } from "node:events";
import {
  createServer,
  type IncomingMessage,
  type Server,
  type ServerOptions,
  type ServerResponse,
} from "node:http";
import { createServer as createHttpsServer, type Server as HttpsServer } from "node:https";
import type { AddressInfo, Socket } from "node:net";
import type { SecureContextOptions } from "node:tls";
import { AssertionFailure } from "../base/assert.ts";
import type { Clock } from "../base/clock.ts";
import { errorTable } from "../base/error-table.ts";
import { framingFault } from "../base/http/framing-fault.ts";
import { ListeningServer } from "../base/listening-server.ts";
import { LogPace } from "../base/log-pace.ts";
import type { Logger } from "../base/logger.ts";
import { OrcaError } from "../base/orca-error.ts";
import { pages } from "../base/pages.ts";
import type { TlsFiles } from "../base/tls-files.ts";
import { formatBytes } from "../base/units.ts";
import { actionDenial, isLoopback, type OpsActions } from "./action-guard.ts";
import { hostDenial } from "./host-guard.ts";
import { OpsConnections } from "./ops-connections.ts";
import { errorPage, type Lines, type OpsEndpoint, type Page, textPage } from "./ops-endpoint.ts";
import type { TokenGuard } from "./token-guard.ts";

export interface OpsServerOptions {
  /** `server.ops_listen`. Port 0 takes a free one. */
  readonly host: string;
  readonly port: number;
  readonly endpoints: readonly OpsEndpoint[];
  /** `server.ops_actions`. */
  readonly actions?: OpsActions;
  /** Undefined where no request needs a token. */
  readonly tokenGuard?: TokenGuard | undefined;
  /** Undefined for plain HTTP. */
  readonly tls?: TlsFiles | undefined;
  readonly clock: Clock;
  readonly logger: Logger;
  /** See {@link ListeningServer}. */
  readonly onDied: (error: OrcaError) => void;
  /** Open connections at once. For a further one, the server closes one that has rested (ops-connections.ts). */
  readonly connectionsMax?: number;
  /** How long a client may take to send a request, and how long an idle connection stays open. */
  readonly requestTimeoutMs?: number;
}

const burstConnectionsMax = 1024;

/** Lines in a minute about one action, or about failures at one path. */
const linesMax = 10;

const clientDisconnected = new OrcaError(
  "request_timeout",
  "client",
  "Cannot finish the request to the ops listener: the client disconnected",
);

const tokenMissing = errorPage(
  401,
  "this needs the token of server.ops_token_file, as Authorization: Bearer TOKEN",
);

export class OpsServer {
  readonly #options: OpsServerOptions;
  readonly #endpoints: readonly OpsEndpoint[];
  readonly #server: Server;
  readonly #listening: ListeningServer;
  readonly #connections: OpsConnections;
  /** Below TLS, by the client's address and port: a request knows the socket above. Empty without TLS. */
  readonly #tcpSockets = new Map<string, Socket>();
  /** Whether only this host can connect. */
  #forOwnHost = false;
  /** Of failures by path, and of actions by name: both are few. */
  readonly #pace: LogPace;

  constructor(options: OpsServerOptions) {
    this.#options = options;
    this.#pace = new LogPace(options.clock, linesMax);
    this.#endpoints = [indexOf(options.endpoints), ...options.endpoints];
    const requestTimeoutMs = options.requestTimeoutMs ?? 5000;
    this.#server = serverOf(options.tls, {
      headersTimeout: requestTimeoutMs,
      requestTimeout: requestTimeoutMs,
      keepAliveTimeout: requestTimeoutMs,
      connectionsCheckingInterval: requestTimeoutMs,
      maxHeaderSize: 8192,
      // It is a framing fault, and Node's own answer would be another one.
      requireHostHeader: false,
    });
    const connectionsMax = options.connectionsMax ?? 64;
    this.#connections = new OpsConnections(connectionsMax);
    // Only for a burst: a connection that was closed to make room counts until the event loop has turned.
    this.#server.maxConnections = burstConnectionsMax + connectionsMax;
    this.#server.on("connection", (socket: Socket) => this.#add(socket));
    this.#listening = new ListeningServer(this.#server, {
      whom: "ops",
      setting: "server.ops_listen",
      ...options,
    });
    this.#server.on("request", (request, response) => {
      this.#serve(request, response).catch((thrown: unknown) => this.#failed(response, thrown));
    });
  }

  /** 0 while it does not listen. */
  get port(): number {
    const address = this.#server.address();
    return typeof address === "object" && address !== null ? address.port : 0;
  }

  get stats(): OpsConnections["stats"] {
    return this.#connections.stats;
  }

  get connections(): number {
    return this.#connections.count;
  }

  /** Accepts that failed. */
  get acceptErrors(): number {
    return this.#listening.acceptErrors;
  }

  /** Resolves with the address it listens on. @throws OrcaError config_invalid if it cannot listen there. */
  async start(): Promise<AddressInfo> {
    const { host, port, tls } = this.#options;
    const address = await this.#listening.listen({ port, host });
    const server = this.#server;
    tls?.watch((context) => {
      if ("setSecureContext" in server) (server as HttpsServer).setSecureContext(withoutAuthorities(context));
    });
    this.#forOwnHost = isLoopback(address.address);
    return address;
  }

  /** Closes the listener and every connection at once. Does nothing if it never started. */
  stop(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#server.close(() => resolve());
    this.#server.closeAllConnections();
    return promise;
  }

  /** With TLS, a connection counts from its first byte on, and a handshake that never ends makes room like any other. */
  #add(socket: Socket): void {
    this.#connections.add(socket);
    if (this.#options.tls === undefined) return;
    const name = nameOf(socket);
    this.#tcpSockets.set(name, socket);
    socket.once("close", () => this.#tcpSockets.delete(name));
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { socket } = request;
    if (response.socket === null) {
      // It came before the answer to the one before. No client of this port does that, and a thousand answers to
      // /metrics could wait in memory for somebody who reads none.
      socket.destroy();
      return;
    }
    const fault = framingFault(request);
    // Node's parser drops what was sent behind an upgrade (src/edge/headers/ignored-upgrades.ts).
    if (fault || request.headers.upgrade !== undefined) response.shouldKeepAlive = false;
    const connection = this.#tcpSockets.get(nameOf(socket)) ?? socket;
    this.#connections.begin(connection);
    response.once("close", () => this.#connections.end(connection));
    const [path = "", ...queries] = (request.url ?? "").split("?");
    const query = queries.join("?");
    const atPath = this.#endpoints.filter((endpoint) => endpoint.path === path);
    const allowed = allowedMethods(atPath);
    const endpoint = endpointFor(request, atPath);
    let answer: Page | Lines;
    try {
      if (fault) answer = errorPage(400, `Cannot read the request: ${fault.reason}`);
      else if (!this.#hasToken(request, endpoint)) answer = tokenMissing;
      else if (!allowed.includes(request.method ?? ""))
        answer = textPage(405, `only ${allowed.join(" and ")}\n`);
      else answer = await this.#ask(endpoint, query, request, response);
    } catch (error) {
      const suppressed = this.#pace.take(path);
      const fields = { error, path, ...suppressed };
      if (suppressed) this.#options.logger.error(fields, "Cannot answer a request to the ops listener");
      answer = textPage(500, "internal error, see the log\n");
    }
    if ("documents" in answer) await this.#send(answer, response);
    else end(response, answer, request.method, allowed);
  }

  /** An error that left {@link #serve} is the fault of its request. */
  #failed(response: ServerResponse, thrown: unknown): void {
    if (thrown instanceof AssertionFailure) throw thrown;
    response.destroy();
    const suppressed = this.#pace.take("request");
    const fields = { error: thrown, ...suppressed };
    if (suppressed) this.#options.logger.error(fields, "Cannot answer a request to the ops listener");
  }

  #hasToken({ headers, socket }: IncomingMessage, endpoint: OpsEndpoint | undefined): boolean {
    const { tokenGuard, logger } = this.#options;
    if (tokenGuard?.admits(headers.authorization, endpoint) ?? true) return true;
    const suppressed = this.#pace.take("token");
    const { remoteAddress } = socket;
    if (suppressed)
      logger.warn(
        { remoteAddress, see: pages.access, ...suppressed },
        "Denied a request to the ops listener",
      );
    return false;
  }

  async #ask(
    endpoint: OpsEndpoint | undefined,
    query: string,
    request: IncomingMessage,
    response: ServerResponse,
  ): Promise<Page | Lines> {
    const hostDenied = this.#forOwnHost ? hostDenial(request.headers.host) : undefined;
    if (hostDenied !== undefined) return errorPage(403, hostDenied);
    if (endpoint === undefined) return textPage(404, "not found, see / for what is here\n");
    const { actions = "local", logger } = this.#options;
    if (endpoint.method === "POST") {
      const { action } = endpoint;
      const denial = actionDenial(request, action, actions, this.#options.tokenGuard !== undefined);
      if (denial !== undefined) return errorPage(403, denial);
      const { remoteAddress } = request.socket;
      const suppressed = this.#pace.take(action);
      if (suppressed) logger.info({ action, query, remoteAddress, ...suppressed }, "Running an ops action");
    }
    const disconnected = new AbortController();
    response.once("close", () => disconnected.abort(clientDisconnected));
    try {
      const { accept } = request.headers;
      return await endpoint.answer({
        query: new URLSearchParams(query),
        accept,
        signal: disconnected.signal,
        body: (bytesMax) => bodyOf(request, bytesMax),
      });
    } catch (thrown) {
      if (!(thrown instanceof OrcaError)) throw thrown;
      return errorPage(errorTable[thrown.code].status, thrown.message);
    }
  }

  /** Asks for the next line when the client has taken the last one, so a slow client gets fewer lines. */
  async #send({ documents }: Lines, response: ServerResponse): Promise<void> {
    response.writeHead(200, { "Content-Type": "application/x-ndjson", "Cache-Control": "no-store" });
    const { socket } = response;
    const closed = once(response, "close");
    try {
      for await (const document of documents) {
        if (response.closed) return;
        if (!response.write(`${JSON.stringify(document)}\n`))
          await Promise.race([once(response, "drain"), closed]);
        if (socket) this.#connections.progress(this.#tcpSockets.get(nameOf(socket)) ?? socket);
      }
    } catch (error) {
      const suppressed = this.#pace.take("cut");
      const fields = { error, ...suppressed };
      if (suppressed) this.#options.logger.error(fields, "Cannot finish an answer of the ops listener");
      response.destroy();
    }
    response.end();
  }
}

/** An endpoint that does not ask for the body reads none of it. How long it may take is in `requestTimeout`. */
async function bodyOf(request: IncomingMessage, bytesMax: number): Promise<Buffer> {
  const slices: Buffer[] = [];
  let lengthBytes = 0;
  try {
    for await (const slice of request as AsyncIterable<Buffer>) {
      lengthBytes += slice.length;
      if (lengthBytes > bytesMax) {
        const reason = `it has more than ${formatBytes(bytesMax)}`;
        throw new OrcaError("invalid_argument", "client", `Cannot read the body of the request: ${reason}`);
      }
      slices.push(slice);
    }
  } catch (thrown) {
    throw OrcaError.from(thrown, "request_timeout", "client", "Cannot read the body of the request");
  }
  return Buffer.concat(slices);
}

function nameOf({ remoteAddress, remotePort }: Socket): string {
  return `${remoteAddress}:${remotePort}`;
}

function serverOf(tls: TlsFiles | undefined, options: ServerOptions): Server {
  if (tls === undefined) return createServer(options);
  const { requestTimeout } = options;
  const handshakeTimeout = { ...(requestTimeout !== undefined && { handshakeTimeout: requestTimeout }) };
  return createHttpsServer({
    ...options,
    ...handshakeTimeout,
    ...withoutAuthorities(tls.secureContextOptions),
  });
}

/** Probes and Prometheus have no client certificates. */
function withoutAuthorities(context: SecureContextOptions): SecureContextOptions {
  const { ca: _, ...others } = context;
  return others;
}

function indexOf(endpoints: readonly OpsEndpoint[]): OpsEndpoint {
  const lines = endpoints.map(({ method, path, help }) => `${method.padEnd(4)} ${path.padEnd(20)} ${help}\n`);
  const page = textPage(200, `Orca\n\n${lines.join("")}`);
  return { method: "GET", path: "/", help: "this list", answer: async () => page };
}

/** A path without endpoints is looked at by GET, as any page that may not exist. */
function allowedMethods(atPath: readonly OpsEndpoint[]): readonly string[] {
  if (atPath.length === 0) return ["GET", "HEAD"];
  return atPath.flatMap(({ method }) => (method === "GET" ? ["GET", "HEAD"] : [method]));
}

function endpointFor({ method }: IncomingMessage, atPath: readonly OpsEndpoint[]): OpsEndpoint | undefined {
  return atPath.find((endpoint) => endpoint.method === (method === "HEAD" ? "GET" : method));
}

function end(
  response: ServerResponse,
  { status, contentType, body, headers }: Page,
  method: string | undefined,
  allowed: readonly string[],
): void {
  response.writeHead(status, {
    ...headers,
    "Content-Type": contentType,
    "Content-Length": Buffer.byteLength(body),
    "Cache-Control": "no-store",
    ...(status === 405 && { Allow: allowed.join(", ") }),
    ...(status === 401 && { "WWW-Authenticate": 'Bearer realm="orca ops"' }),
    // The server does not read the body of another method, so it cannot keep the connection.
    ...(method !== "GET" && method !== "HEAD" && { Connection: "close" }),
  });
  response.end(method === "HEAD" ? undefined : body);
}
