/**
 * Where other replicas connect: an HTTP/2 server, its limits, and the one switch from a path to who answers it. Streams
 * of chunk bytes go to handlers that write to the stream itself; everything else goes through Connect, whose services
 * are handed in as routes. What is wrong with a connection ends here.
 *
 * Invariant: a session in #sessions has shown a member's certificate, or there is no TLS.
 */
import {
  createSecureServer,
  createServer,
  type Http2SecureServer,
  type Http2Server,
  Http2ServerRequest,
  Http2ServerResponse,
  type IncomingHttpHeaders,
  type SecureServerOptions,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from "node:http2";
import type { AddressInfo, Socket } from "node:net";
import type { TLSSocket } from "node:tls";
import type { ConnectRouter } from "@connectrpc/connect";
import { connectNodeAdapter } from "@connectrpc/connect-node";
import type { Clock } from "../../base/clock.ts";
import type { Logger } from "../../base/logger.ts";
import { OrcaError } from "../../base/orca-error.ts";
import { HandshakeFailures, handshakeFailureReason } from "./handshake-failures.ts";
import { serverLimits, sessionWindowBytes, settingsFor } from "./http2-limits.ts";
import { keepAlive } from "./keep-alive.ts";
import type { MeshTls } from "./mesh-tls.ts";
import { messageBytesMax } from "./message-limits.ts";

/** Answers one request from its stream. What it throws is a bug. */
export type StreamHandler = (stream: ServerHttp2Stream, headers: IncomingHttpHeaders) => void;

export interface MeshServerOptions {
  /** `cluster.internal_listen`. Port 0 takes a free one. */
  readonly host: string;
  readonly port: number;
  /** Undefined for HTTP/2 without TLS (`internal_tls.enabled: false`), where whoever reaches the port is a member. */
  readonly tls: MeshTls | undefined;
  /** By path, `/orca.v1.FillService/FillChunk`. */
  readonly handlers: ReadonlyMap<string, StreamHandler>;
  /** Registers the services that Connect serves. */
  readonly routes: (router: ConnectRouter) => void;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Connections at once, two for each peer; more are closed unanswered. */
  readonly connectionsMax?: number;
  /** For TLS, and once more for the beginning of HTTP/2. */
  readonly handshakeTimeoutMs?: number;
  readonly pingIntervalMs?: number;
}

interface MeshServerStats {
  /** Sessions that were taken, and those that are open. */
  sessions: number;
  sessionsOpen: number;
  /** Ended because the peer did not answer pings. */
  sessionsDead: number;
  /** Ended by a fault of the protocol: a flood, a broken frame. */
  sessionsBroken: number;
  /** Closed unanswered over the limit of connections. */
  connectionsDropped: number;
  requests: number;
}

const defaults = { connectionsMax: 2048, handshakeTimeoutMs: 5000, pingIntervalMs: 5000 };

export class MeshServer {
  readonly stats: MeshServerStats = {
    sessions: 0,
    sessionsOpen: 0,
    sessionsDead: 0,
    sessionsBroken: 0,
    connectionsDropped: 0,
    requests: 0,
  };
  /** Connections that came to nothing. */
  readonly refusals: HandshakeFailures;
  readonly #options: MeshServerOptions & typeof defaults;
  readonly #server: Http2Server | Http2SecureServer;
  readonly #answer: ReturnType<typeof connectNodeAdapter>;
  readonly #sessions = new Set<ServerHttp2Session>();
  /** All connections, those without a session yet among them. */
  readonly #connections = new Set<Socket>();
  #draining = false;

  constructor(options: MeshServerOptions) {
    this.#options = { ...defaults, ...options };
    this.refusals = new HandshakeFailures(options.clock, options.logger);
    this.#answer = connectNodeAdapter({
      routes: options.routes,
      grpcWeb: false,
      // Nothing compressed is taken, so a small message cannot become a large one.
      acceptCompression: [],
      readMaxBytes: messageBytesMax,
      writeMaxBytes: messageBytesMax,
    });
    this.#server = this.#createServer();
    this.#server.maxConnections = this.#options.connectionsMax;
    this.#server.on("drop", () => void (this.stats.connectionsDropped += 1));
    this.#server.on("connection", (socket: Socket) => {
      this.#connections.add(socket);
      socket.once("close", () => this.#connections.delete(socket));
    });
    this.#server.on("session", (session) => this.#take(session));
    this.#server.on("stream", (stream, headers, _flags, rawHeaders) =>
      this.#serve(stream, headers, rawHeaders),
    );
  }

  /** Resolves with where it listens. @throws OrcaError config_invalid when the address cannot be had. */
  start(): Promise<AddressInfo> {
    const { host, port, tls, logger } = this.#options;
    const { promise, resolve, reject } = Promise.withResolvers<AddressInfo>();
    const refuse = (thrown: unknown): void => {
      const action = `Cannot listen for other replicas on "${host}:${port}"`;
      reject(OrcaError.from(thrown, "config_invalid", "config", action));
    };
    this.#server.once("error", refuse);
    this.#server.listen({ port, host, backlog: 1024 }, () => {
      this.#server.off("error", refuse);
      resolve(this.#server.address() as AddressInfo);
    });
    if (!tls) {
      logger.warn({ host, port }, "Serving the mesh without TLS: whoever reaches the port is a member");
    }
    return promise;
  }

  /**
   * Takes no new connections and streams, lets running streams finish for up to `drainTimeoutMs`, then cuts what is
   * left. Resolves with the number of sessions that had to be cut.
   */
  async drain(drainTimeoutMs: number): Promise<number> {
    this.#draining = true;
    const closed = Promise.withResolvers<void>();
    this.#server.close(() => closed.resolve());
    // GOAWAY with the last stream that was taken: what the peer has sent since, it may send to somebody else.
    for (const session of this.#sessions) session.close();
    let cut = 0;
    const timer = this.#options.clock.timer(drainTimeoutMs, () => {
      cut = this.#sessions.size;
      this.#cut();
    });
    await closed.promise;
    timer.cancel();
    return cut;
  }

  /** Closes the listener and cuts every connection. May be called any number of times, and before {@link start}. */
  close(): Promise<void> {
    this.#draining = true;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#server.close(() => resolve());
    this.#cut();
    return promise;
  }

  #cut(): void {
    for (const socket of this.#connections) socket.destroy();
  }

  #createServer(): Http2Server | Http2SecureServer {
    const { tls, handshakeTimeoutMs } = this.#options;
    const http2: SecureServerOptions = { ...serverLimits, settings: settingsFor("control") };
    if (!tls) return createServer(http2);
    const server = createSecureServer({
      ...http2,
      ...tls.serverOptions,
      allowHTTP1: false,
      handshakeTimeout: handshakeTimeoutMs,
    });
    tls.serve(server);
    server.on("tlsClientError", (error: NodeJS.ErrnoException, socket) => {
      // The chain is checked by OpenSSL and judged by Node, which closes the connection with an error of its own.
      this.#refuse(socket, socket.authorizationError ?? error.code, error.message);
    });
    server.on("unknownProtocol", (socket: Socket) => {
      this.#refuse(socket, "ERR_HTTP2_ERROR", "it did not ask for HTTP/2");
      socket.destroy();
    });
    return server;
  }

  #take(session: ServerHttp2Session): void {
    const { tls, clock, handshakeTimeoutMs, pingIntervalMs } = this.#options;
    const { stats } = this;
    const socket = session.socket;
    const { remoteAddress } = socket;
    if (tls && !tls.isMember(socket as TLSSocket)) {
      this.refusals.count(
        "wrong_identity",
        { remoteAddress },
        `Refused a connection: its certificate is not for "${tls.serverName}"`,
      );
      session.destroy();
      return;
    }
    if (this.#draining) {
      session.destroy();
      return;
    }
    let greeted = false;
    const deadline = clock.timer(handshakeTimeoutMs, () => {
      this.#refuse({ remoteAddress }, "ERR_TLS_HANDSHAKE_TIMEOUT", "it did not begin to speak HTTP/2");
      session.destroy();
    });
    session.once("remoteSettings", () => {
      greeted = true;
      deadline.cancel();
      stats.sessions += 1;
    });
    stats.sessionsOpen += 1;
    this.#sessions.add(session);
    session.once("close", () => {
      deadline.cancel();
      stats.sessionsOpen -= 1;
      this.#sessions.delete(session);
    });
    session.on("error", (error: NodeJS.ErrnoException) => {
      if (greeted) this.#endBroken(error, remoteAddress);
      else this.#refuse({ remoteAddress }, error.code, error.message);
    });
    session.setLocalWindowSize(sessionWindowBytes);
    keepAlive(session, {
      clock,
      intervalMs: pingIntervalMs,
      onDead: () => void (stats.sessionsDead += 1),
    });
  }

  #serve(stream: ServerHttp2Stream, headers: IncomingHttpHeaders, rawHeaders: string[]): void {
    this.stats.requests += 1;
    // A session that ends takes its streams with it, each with an error event; whoever holds one sees its close.
    stream.on("error", () => undefined);
    const handler = this.#options.handlers.get(headers[":path"] ?? "");
    if (handler) handler(stream, headers);
    else
      this.#answer(new Http2ServerRequest(stream, headers, {}, rawHeaders), new Http2ServerResponse(stream));
  }

  #refuse({ remoteAddress }: { remoteAddress?: string | undefined }, code: unknown, why: string): void {
    this.refusals.count(
      handshakeFailureReason(code),
      { remoteAddress, code },
      `Refused a connection: ${why}`,
    );
  }

  #endBroken(error: NodeJS.ErrnoException, remoteAddress: string | undefined): void {
    this.stats.sessionsBroken += 1;
    this.#options.logger.debug({ error, remoteAddress }, "A session of the mesh ended with an error");
  }
}
