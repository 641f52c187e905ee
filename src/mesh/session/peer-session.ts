/**
 * One HTTP/2 session to a peer. It is opened when it is first needed, and again after it has ended. No caller waits
 * longer than the deadlines for a peer that does not answer. After a failure, requests fail at once until the backoff
 * is over. So a dead peer costs its first caller a deadline, and the next callers nothing.
 *
 * A session counts as open when the peer's SETTINGS have arrived, not when TLS is done: in TLS 1.3 a client is done
 * before the server has checked its certificate. A session that receives GOAWAY finishes its streams by itself, and the
 * next stream opens a new session.
 *
 * Invariants:
 * 1. At most one connection is being opened.
 * 2. #session, where it is set, has received SETTINGS. It accepts streams, or has closed since.
 */
import {
  type ClientHttp2Session,
  type ClientHttp2Stream,
  type ClientSessionRequestOptions,
  connect as connectHttp2,
  type OutgoingHttpHeaders,
} from "node:http2";
import { connect as connectTcp, type Socket } from "node:net";
import { connect as connectTls, type TLSSocket } from "node:tls";
import { Code, ConnectError } from "@connectrpc/connect";
import type { Clock, Timer } from "../../base/clock.ts";
import type { Random } from "../../base/random.ts";
import { backoffMs } from "../../origin/backoff.ts";
import { offeredPort } from "./bytes-port.ts";
import { closedAfterTlsCode, type Handshakes, handshakeFailureReason } from "./handshake-failures.ts";
import {
  sessionLimits,
  sessionWindowBytes,
  settingsFor,
  streamsPerSessionMax,
  type Traffic,
} from "./http2-limits.ts";
import { keepAlive } from "./keep-alive.ts";
import type { MeshClientTls } from "./mesh-client-tls.ts";

export interface PeerTimings {
  /** For TCP. */
  readonly connectTimeoutMs: number;
  /** For TLS and the start of HTTP/2. */
  readonly handshakeTimeoutMs: number;
  readonly pingIntervalMs: number;
  /** A session without streams is closed after this time. */
  readonly idleTimeoutMs: number;
  /** Between attempts to reach a peer. On average, a recovered peer is found after half of the longest wait. */
  readonly backoffInitialMs: number;
  readonly backoffMaxMs: number;
}

/** Counted over all sessions of all peers. */
export interface PeerStats {
  sessions: number;
  sessionsOpen: number;
  /** Ended because the peer did not answer pings. */
  sessionsDead: number;
  connectFailures: number;
  /** Requests that failed without an attempt to connect, during the backoff. */
  requestsWhileDown: number;
  streams: number;
}

/** The calling end of TLS: that of the process, or of a thread. */
export type ClientTls = Pick<MeshClientTls, "clientOptions" | "replicaIdsOf">;

export interface PeerSessionOptions {
  /** `host:port`. */
  readonly address: string;
  readonly traffic: Traffic;
  /** Undefined for HTTP/2 without TLS. */
  readonly tls: ClientTls | undefined;
  readonly timings: PeerTimings;
  readonly stats: PeerStats;
  readonly handshakes: Handshakes;
  readonly clock: Clock;
  readonly random: Random;
  /** Opens the connection. TCP by default. */
  readonly dial?: ((host: string, port: number) => Socket) | undefined;
  /** Called when an attempt to connect begins. What the peer offered before may have ended with it. */
  readonly onConnecting?: () => void;
  /** Called with a port that the peer offers for chunk bytes, once for each connection at most. */
  readonly onOffer?: (port: number) => void;
}

/** The part of a session that a caller needs. */
export interface StreamOpener {
  /** As ClientHttp2Session.request. @throws ConnectError as {@link PeerSession.request} does. */
  request(headers: OutgoingHttpHeaders, options?: ClientSessionRequestOptions): ClientHttp2Stream;
}

/** It is also Connect's session manager: a transport sends its calls through it. */
export class PeerSession {
  /** Scheme, host and port, in the form of a URL. */
  readonly authority: string;
  readonly #options: PeerSessionOptions;
  #session: ClientHttp2Session | undefined;
  #replicaIds: ReadonlySet<string> | undefined;
  #connecting: Promise<ClientHttp2Session> | undefined;
  /** Ends the attempt to connect that is in progress. */
  #abandon: ((error: Error) => void) | undefined;
  #idleTimer: Timer | undefined;
  #streams = 0;
  #failures = 0;
  #retryAtMs = -Infinity;
  #lastFailure = "";
  #closed = false;

  constructor(options: PeerSessionOptions) {
    this.#options = options;
    this.authority = new URL(`${options.tls ? "https" : "http"}://${options.address}`).origin;
  }

  /** The replicas for which the peer's certificate was issued. Undefined if it names none, and without TLS. */
  get replicaIds(): ReadonlySet<string> | undefined {
    return this.#replicaIds;
  }

  get streams(): number {
    return this.#streams;
  }

  get isOpen(): boolean {
    return this.#usable !== undefined;
  }

  /**
   * Opens a stream, and sends the request's headers. The caller need not listen to its errors, because each closes it.
   * @throws ConnectError unavailable if the peer is unreachable, resource_exhausted over the limit of streams.
   */
  async request(
    method: string,
    path: string,
    headers: OutgoingHttpHeaders,
    options?: ClientSessionRequestOptions,
  ): Promise<ClientHttp2Stream> {
    const opener = await this.ready();
    return opener.request({ ...headers, ":method": method, ":path": path }, options);
  }

  /** Resolves with the current session. @throws ConnectError unavailable if the peer is unreachable. */
  async ready(): Promise<StreamOpener> {
    return this.#openerOf(this.#usable ?? (await this.#connect()));
  }

  /** The current session. Undefined if there is none: then it is being opened, unless the backoff is not over. */
  now(): StreamOpener | undefined {
    const session = this.#usable;
    if (session) return this.#openerOf(session);
    // The failure has been counted and logged. The caller has another way to the peer.
    if (!this.#connecting && this.#waitMs <= 0) this.#connect().catch(() => undefined);
    return undefined;
  }

  get #usable(): ClientHttp2Session | undefined {
    const session = this.#session;
    return session && !session.closed && !session.destroyed ? session : undefined;
  }

  get #waitMs(): number {
    return this.#retryAtMs - this.#options.clock.monotonic();
  }

  #openerOf(session: ClientHttp2Session): StreamOpener {
    return { request: (headers, options) => this.#openStream(session, headers, options) };
  }

  /** Connect notifies its session managers of each byte. Here pings alone decide whether a peer is alive. */
  notifyResponseByteRead(): void {}

  /** Ends the backoff, because the peer showed a sign of life: the next request connects at once. */
  retryNow(): void {
    this.#failures = 0;
    this.#retryAtMs = -Infinity;
  }

  /** Accepts no more requests, and lets running streams finish. */
  close(): void {
    this.#closed = true;
    this.#idleTimer?.cancel();
    this.#abandon?.(new Error("the session is being closed"));
    this.#session?.close();
  }

  /** Accepts no more requests, and cuts running streams. */
  destroy(): void {
    this.close();
    this.#session?.destroy();
  }

  #openStream(
    session: ClientHttp2Session,
    headers: OutgoingHttpHeaders,
    options?: ClientSessionRequestOptions,
  ): ClientHttp2Stream {
    const { address, stats } = this.#options;
    if (this.#streams >= streamsPerSessionMax) {
      throw new ConnectError(
        `Cannot open a stream to ${address}: ${this.#streams} streams are open`,
        Code.ResourceExhausted,
      );
    }
    let stream: ClientHttp2Stream;
    try {
      stream = session.request(headers, options);
    } catch (thrown) {
      // Node also throws for invalid headers, with ERR_HTTP2_ codes, too. These are a bug of the caller.
      if (!session.closed && !session.destroyed) throw thrown;
      throw this.#unavailable("the session has ended", thrown);
    }
    stats.streams += 1;
    this.#streams += 1;
    this.#idleTimer?.cancel();
    // A session that ends closes its streams with an error event each. The owner of a stream listens for itself.
    stream.on("error", () => undefined);
    stream.once("close", () => {
      this.#streams -= 1;
      if (this.#streams === 0 && this.#session) this.#closeWhenIdle(this.#session);
    });
    return stream;
  }

  #closeWhenIdle(session: ClientHttp2Session): void {
    const { clock, timings } = this.#options;
    this.#idleTimer?.cancel();
    this.#idleTimer = clock.timer(timings.idleTimeoutMs, () => session.close());
  }

  #connect(): Promise<ClientHttp2Session> {
    if (this.#connecting) return this.#connecting;
    if (this.#closed) return Promise.reject(this.#unavailable("its session is closed"));
    const waitMs = this.#waitMs;
    if (waitMs > 0) {
      this.#options.stats.requestsWhileDown += 1;
      const next = `the next attempt is in ${Math.ceil(waitMs)} ms`;
      return Promise.reject(this.#unavailable(`${this.#lastFailure}; ${next}`));
    }
    this.#connecting = this.#open().then(
      (session) => {
        this.#connecting = undefined;
        this.#failures = 0;
        this.#adopt(session);
        return session;
      },
      (thrown: Error) => {
        this.#connecting = undefined;
        throw this.#fail(thrown);
      },
    );
    return this.#connecting;
  }

  /** Resolves when the peer's SETTINGS have arrived. Rejects with the first failure. */
  #open(): Promise<ClientHttp2Session> {
    const { clock, tls, timings, traffic, dial = dialTcp, onConnecting, onOffer } = this.#options;
    onConnecting?.();
    const { hostname, port } = new URL(this.authority);
    const socket = dial(hostname.replace(/^\[|\]$/g, ""), Number(port || (tls ? 443 : 80)));
    const connection = tls ? connectTls({ ...tls.clientOptions, socket }) : socket;
    const session = connectHttp2(this.authority, {
      ...sessionLimits,
      settings: settingsFor(traffic),
      createConnection: () => connection,
    });
    const { promise, resolve, reject } = Promise.withResolvers<ClientHttp2Session>();
    const giveUp = (error: Error): void => {
      timer.cancel();
      reject(error);
      session.destroy();
      socket.destroy();
    };
    let timer = clock.timer(timings.connectTimeoutMs, () =>
      giveUp(timedOut("no connection", timings.connectTimeoutMs)),
    );
    socket.once("connect", () => {
      timer.cancel();
      timer = clock.timer(timings.handshakeTimeoutMs, () =>
        giveUp(timedOut("no HTTP/2 SETTINGS", timings.handshakeTimeoutMs)),
      );
    });
    for (const emitter of [socket, connection, session]) emitter.on("error", giveUp);
    let isSecured = false;
    connection.once("secureConnect", () => {
      isSecured = true;
    });
    session.once("close", () => giveUp(closedEarly(isSecured)));
    session.once("altsvc", (offer) => {
      const offered = offeredPort(offer);
      if (offered !== undefined && !this.#closed) onOffer?.(offered);
    });
    session.once("remoteSettings", () => {
      timer.cancel();
      this.#replicaIds = tls?.replicaIdsOf(connection as TLSSocket);
      resolve(session);
    });
    this.#abandon = giveUp;
    return promise.finally(() => {
      this.#abandon = undefined;
    });
  }

  #adopt(session: ClientHttp2Session): void {
    const { address, clock, stats, timings, handshakes } = this.#options;
    stats.sessions += 1;
    handshakes.succeeded(address);
    stats.sessionsOpen += 1;
    this.#session = session;
    session.setLocalWindowSize(sessionWindowBytes);
    session.once("close", () => {
      stats.sessionsOpen -= 1;
      if (this.#session !== session) return;
      this.#session = undefined;
      this.#idleTimer?.cancel();
    });
    keepAlive(session, {
      clock,
      intervalMs: timings.pingIntervalMs,
      onDead: () => void (stats.sessionsDead += 1),
    });
    this.#closeWhenIdle(session);
  }

  #fail(error: Error & { code?: unknown }): ConnectError {
    const { address, timings, random, clock, stats, handshakes } = this.#options;
    this.#lastFailure = error.message;
    if (this.#closed) return this.#unavailable(error.message, error);
    stats.connectFailures += 1;
    handshakes.count(
      handshakeFailureReason(error.code),
      address,
      { address },
      `Cannot connect to ${address}: ${error.message}`,
    );
    this.#failures += 1;
    const policy = { ...timings, attempts: Infinity, maxTotalDurationMs: Infinity };
    this.#retryAtMs = clock.monotonic() + backoffMs(this.#failures, policy, random, undefined);
    return this.#unavailable(error.message, error);
  }

  #unavailable(reason: string, cause?: unknown): ConnectError {
    return new ConnectError(
      `Cannot reach ${this.#options.address}: ${reason}`,
      Code.Unavailable,
      undefined,
      undefined,
      cause,
    );
  }
}

function dialTcp(host: string, port: number): Socket {
  return connectTcp({ host, port, noDelay: true });
}

/** In TLS 1.3 a server that rejects a client's certificate only closes the connection: nothing says why. */
function closedEarly(isSecured: boolean): Error {
  if (!isSecured) return new Error("it closed the connection during the handshake");
  const message =
    "it closed the connection after the TLS handshake. It may reject this replica's certificate: its log says why";
  return Object.assign(new Error(message), { code: closedAfterTlsCode });
}

function timedOut(what: string, timeoutMs: number): Error {
  return Object.assign(new Error(`${what} within ${timeoutMs} ms`), { code: "ERR_TLS_HANDSHAKE_TIMEOUT" });
}
