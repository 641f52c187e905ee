/**
 * The listener for other replicas: an HTTP/2 server, its limits, and the one switch from a path to its handler. Streams
 * of chunk bytes go to handlers that write to the stream directly. All other requests go through Connect, which gets
 * its services as routes. Faults of a connection end here. So
 * do those of a request: an error that no handler caught ends its stream and not the process.
 *
 * Invariant: each session in #sessions has presented a member's certificate, unless the mesh has no TLS.
 */
import {
  constants,
  createSecureServer,
  createServer,
  type Http2SecureServer,
  type Http2Server,
  type IncomingHttpHeaders,
  type SecureServerOptions,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from "node:http2";
import type { AddressInfo, Socket } from "node:net";
import type { TLSSocket } from "node:tls";
import type { ConnectRouter } from "@connectrpc/connect";
import { AssertionFailure } from "../../base/assert.ts";
import type { Clock } from "../../base/clock.ts";
import { ListeningServer } from "../../base/listening-server.ts";
import { LogPace } from "../../base/log-pace.ts";
import type { Logger } from "../../base/logger.ts";
import type { OrcaError } from "../../base/orca-error.ts";
import { pages } from "../../base/pages.ts";
import { defaultSwimSettings } from "../../membership/swim-settings.ts";
import { offerBytesPort } from "./bytes-port.ts";
import { Caller } from "./caller.ts";
import { ConnectionBudget, type ConnectionRate } from "./connection-budget.ts";
import { HandshakeFailures, handshakeFailureReason } from "./handshake-failures.ts";
import { serverLimits, sessionWindowBytes, settingsFor } from "./http2-limits.ts";
import { keepAlive } from "./keep-alive.ts";
import type { MeshServerTls } from "./mesh-server-tls.ts";
import { type RpcLimits, RpcServer } from "./rpc-server.ts";

/** Answers the request of one stream. If it throws, the request has failed, and the stream is closed. */
export type StreamHandler = (stream: ServerHttp2Stream, headers: IncomingHttpHeaders) => void;

export interface MeshServerOptions {
  /** `cluster.internal_listen`. Port 0 takes a free one. */
  readonly host: string;
  readonly port: number;
  /** The setting with the address, for messages. `cluster.internal_listen` by default. */
  readonly setting?: string;
  /** Whether other threads listen on the port, too. */
  readonly reusePort?: boolean;
  /** Undefined without TLS (`internal_tls.enabled: false`). Any client that reaches the port is then a member. */
  readonly tls: MeshServerTls | undefined;
  /** By path, for example `/orca.v1.FillService/FillChunk`. */
  readonly handlers: ReadonlyMap<string, StreamHandler>;
  /** Registers the services that Connect serves. */
  readonly routes: (router: ConnectRouter) => void;
  readonly clock: Clock;
  readonly logger: Logger;
  /** See {@link ListeningServer}. */
  readonly onDied: (error: OrcaError) => void;
  /** Connections at once, two for each peer. More are closed without an answer. */
  readonly connectionsMax?: number;
  /** For TLS, and again for the start of HTTP/2. */
  readonly handshakeTimeoutMs?: number;
  readonly pingIntervalMs?: number;
  readonly rpcLimits?: Partial<RpcLimits>;
  readonly connectionRate?: ConnectionRate;
}

interface MeshServerStats {
  /** Sessions that were established, and those that are open now. */
  sessions: number;
  sessionsOpen: number;
  /** With a certificate that names no replica. */
  sessionsUnnamed: number;
  /** Ended because the peer did not answer pings. */
  sessionsDead: number;
  /** Ended by a protocol error: a flood, a broken frame. */
  sessionsBroken: number;
  /** Closed without an answer, over the limit of connections. */
  connectionsDropped: number;
  /** Closed without an answer, because their address opens too many. */
  connectionsOverRate: number;
  requests: number;
  /** Ended by an error that no handler caught. */
  requestsFailed: number;
}

export const defaultConnectionsMax = 2 * defaultSwimSettings.membersMax;

const defaults = {
  setting: "cluster.internal_listen",
  reusePort: false,
  connectionsMax: defaultConnectionsMax,
  handshakeTimeoutMs: 5000,
  pingIntervalMs: 5000,
};

export class MeshServer {
  readonly stats: MeshServerStats = {
    sessions: 0,
    sessionsOpen: 0,
    sessionsUnnamed: 0,
    sessionsDead: 0,
    sessionsBroken: 0,
    connectionsDropped: 0,
    connectionsOverRate: 0,
    requests: 0,
    requestsFailed: 0,
  };
  /** Connections that were not established. */
  readonly handshakeFailures: HandshakeFailures;
  readonly #options: MeshServerOptions & typeof defaults;
  readonly #server: Http2Server | Http2SecureServer;
  readonly #listening: ListeningServer;
  /** The calls of the services. */
  readonly rpc: RpcServer;
  readonly #pace: LogPace;
  readonly #budget: ConnectionBudget;
  readonly #sessions = new Map<ServerHttp2Session, Caller>();
  /** All connections, including those without a session yet. */
  readonly #connections = new Set<Socket>();
  /** Remote addresses of connections, for when they have closed. */
  readonly #addresses = new WeakMap<Socket, string | undefined>();
  #draining = false;
  #bytesPort: number | undefined;

  constructor(options: MeshServerOptions) {
    this.#options = { ...defaults, ...options };
    this.handshakeFailures = new HandshakeFailures(options.clock, options.logger);
    this.rpc = new RpcServer({ routes: options.routes, clock: options.clock, limits: options.rpcLimits });
    this.#pace = new LogPace(options.clock);
    this.#budget = new ConnectionBudget(options.clock, options.connectionRate);
    this.#server = this.#createServer();
    this.#server.maxConnections = this.#options.connectionsMax;
    this.#listening = new ListeningServer(this.#server, {
      whom: "other replicas",
      ...this.#options,
    });
    this.#server.on("drop", () => void (this.stats.connectionsDropped += 1));
    this.#server.on("connection", (socket: Socket) => {
      if (!this.#budget.take(socket.remoteAddress)) {
        this.stats.connectionsOverRate += 1;
        socket.destroy();
        return;
      }
      this.#connections.add(socket);
      this.#addresses.set(socket, socket.remoteAddress);
      socket.once("close", () => this.#connections.delete(socket));
    });
    this.#server.on("session", (session) => this.#begin(session));
    this.#server.on("stream", (stream, headers) => this.#serve(stream, headers));
  }

  /** Accepts that failed. */
  get acceptErrors(): number {
    return this.#listening.acceptErrors;
  }

  /**
   * Resolves with the address. Each session is offered `bytesPort` ({@link offerBytesPort}), if there is one.
   * @throws OrcaError config_invalid if it cannot listen there.
   */
  start(bytesPort?: number): Promise<AddressInfo> {
    const { host, port, tls, logger, reusePort } = this.#options;
    this.#bytesPort = bytesPort;
    const address = this.#listening.listen({ port, host, backlog: 1024, reusePort });
    if (!tls) {
      logger.warn(
        { host, port, see: pages.withoutTls },
        "Serving the mesh without TLS: any client that reaches the port is a member",
      );
    }
    return address;
  }

  /**
   * Accepts no new connections and streams, lets running streams finish for up to `drainTimeoutMs`, then cuts the rest.
   * Resolves with the number of sessions that were cut.
   */
  async drain(drainTimeoutMs: number): Promise<number> {
    this.#draining = true;
    const closed = Promise.withResolvers<void>();
    this.#server.close(() => closed.resolve());
    // GOAWAY names the last stream that was accepted. The peer may send its later requests to another replica.
    for (const session of this.#sessions.keys()) session.close();
    let cut = 0;
    const timer = this.#options.clock.timer(drainTimeoutMs, () => {
      cut = this.#sessions.size;
      this.#cut();
    });
    await closed.promise;
    timer.cancel();
    return cut;
  }

  /** Closes the listener, and cuts every connection. May be called any number of times, and before {@link start}. */
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
      // OpenSSL verifies the chain, but Node closes the connection with a general error. The reason is OpenSSL's.
      this.#handshakeFailed(
        { remoteAddress: this.#addressOf(socket) },
        socket.authorizationError ?? error.code,
        error.message,
      );
    });
    server.on("unknownProtocol", (socket: Socket) => {
      this.#handshakeFailed(socket, "ERR_HTTP2_ERROR", "it did not negotiate HTTP/2");
      socket.destroy();
    });
    return server;
  }

  /** A session that ended meanwhile has no socket, and throws at most of its methods. */
  #begin(session: ServerHttp2Session): void {
    try {
      this.#accept(session);
    } catch (thrown) {
      if (thrown instanceof AssertionFailure) throw thrown;
      this.#handshakeFailed({}, undefined, thrown instanceof Error ? thrown.message : String(thrown));
      session.destroy();
    }
  }

  #accept(session: ServerHttp2Session): void {
    const { tls, clock, handshakeTimeoutMs, pingIntervalMs } = this.#options;
    const { stats } = this;
    const socket = session.socket;
    const { remoteAddress } = socket;
    if (tls && !tls.isMember(socket as TLSSocket)) {
      this.handshakeFailures.count(
        "wrong_identity",
        remoteAddress ?? "an unknown address",
        { remoteAddress },
        `Cannot accept a connection: its certificate does not carry the identity "${tls.serverName}"`,
      );
      session.destroy();
      return;
    }
    if (this.#draining) {
      session.destroy();
      return;
    }
    let established = false;
    const deadline = clock.timer(handshakeTimeoutMs, () => {
      const reason = `it sent no HTTP/2 SETTINGS within ${handshakeTimeoutMs} ms`;
      this.#handshakeFailed({ remoteAddress }, "ERR_TLS_HANDSHAKE_TIMEOUT", reason);
      session.destroy();
    });
    session.once("remoteSettings", () => {
      established = true;
      deadline.cancel();
      stats.sessions += 1;
      this.handshakeFailures.succeeded(remoteAddress ?? "");
    });
    stats.sessionsOpen += 1;
    const replicaIds = tls?.replicaIdsOf(socket as TLSSocket);
    if (tls && !replicaIds) this.#warnOfUnnamed(remoteAddress);
    this.#sessions.set(session, new Caller(remoteAddress, replicaIds));
    session.once("close", () => {
      deadline.cancel();
      stats.sessionsOpen -= 1;
      this.#sessions.delete(session);
    });
    session.on("error", (error: NodeJS.ErrnoException) => {
      if (established) this.#sessionBroke(error, remoteAddress);
      else this.#handshakeFailed({ remoteAddress }, error.code, error.message);
    });
    session.setLocalWindowSize(sessionWindowBytes);
    if (this.#bytesPort !== undefined && tls) offerBytesPort(session, this.#bytesPort);
    keepAlive(session, {
      clock,
      intervalMs: pingIntervalMs,
      onDead: () => void (stats.sessionsDead += 1),
    });
  }

  #serve(stream: ServerHttp2Stream, headers: IncomingHttpHeaders): void {
    this.stats.requests += 1;
    // A session that ends closes its streams with an error event each. The handler of a stream sees the close.
    stream.on("error", () => undefined);
    const caller = stream.session && this.#sessions.get(stream.session as ServerHttp2Session);
    // The caller may have reset the stream, or ended the session, in the same packet as its request.
    if (!caller) return;
    const turn = caller.turns.next();
    if (turn) void turn.then(() => this.#answer(stream, headers, caller));
    else this.#answer(stream, headers, caller);
  }

  #answer(stream: ServerHttp2Stream, headers: IncomingHttpHeaders, caller: Caller): void {
    if (stream.closed || stream.destroyed) return;
    const handler = this.#options.handlers.get(headers[":path"] ?? "");
    try {
      if (handler) handler(stream, headers);
      else
        this.rpc
          .serve(stream, headers, caller)
          .catch((thrown: unknown) => this.#requestFailed(stream, headers, thrown));
    } catch (thrown) {
      this.#requestFailed(stream, headers, thrown);
    }
  }

  /** Ends a request that no handler answered. @throws AssertionFailure unchanged: a bug must end the process. */
  #requestFailed(stream: ServerHttp2Stream, headers: IncomingHttpHeaders, thrown: unknown): void {
    if (thrown instanceof AssertionFailure) throw thrown;
    if (stream.closed || stream.destroyed) return;
    this.stats.requestsFailed += 1;
    if (this.#pace.isDue("request")) {
      this.#options.logger.error(
        { err: thrown, path: headers[":path"] },
        "Cannot answer a request of a peer",
      );
    }
    try {
      if (stream.headersSent) return stream.close(constants.NGHTTP2_INTERNAL_ERROR);
      stream.respond({ ":status": 500 }, { endStream: true });
      stream.resume();
    } catch {
      stream.destroy();
    }
  }

  #warnOfUnnamed(remoteAddress: string | undefined): void {
    this.stats.sessionsUnnamed += 1;
    if (this.stats.sessionsUnnamed > 1) return;
    this.#options.logger.warn(
      { remoteAddress, see: pages.certificates },
      "The certificate of a peer names no replica, so its holder can speak for every replica. " +
        "Issue certificates with the URI urn:orca:replica:ID, as `orca certs` does.",
    );
  }

  /** A TLS socket whose handshake failed has closed and lost its address. The connection below it is one of ours. */
  #addressOf(socket: TLSSocket & { readonly _parent?: Socket }): string | undefined {
    return socket.remoteAddress ?? (socket._parent && this.#addresses.get(socket._parent));
  }

  #handshakeFailed(
    { remoteAddress }: { remoteAddress?: string | undefined },
    code: unknown,
    reason: string,
  ): void {
    this.handshakeFailures.count(
      handshakeFailureReason(code),
      remoteAddress ?? "an unknown address",
      { remoteAddress, code },
      `Cannot accept a connection: ${reason}`,
    );
  }

  #sessionBroke(error: NodeJS.ErrnoException, remoteAddress: string | undefined): void {
    this.stats.sessionsBroken += 1;
    // A peer that crashed resets its connections, too, and opens them again at once. It has broken no rule.
    if (error.code === "ERR_HTTP2_ERROR") this.#budget.chargeBroken(remoteAddress);
    this.#options.logger.debug({ error, remoteAddress }, "A mesh session ended with an error");
  }
}
