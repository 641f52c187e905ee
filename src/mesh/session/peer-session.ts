/**
 * One HTTP/2 session to a peer, made when it is first needed and again after it ended. Nobody waits longer than the
 * deadlines for a peer that does not answer; after a failure the next ones fail at once until the backoff is over, so
 * that a dead peer costs its first caller a deadline and the others nothing.
 *
 * A session counts as made when the peer's SETTINGS are here, not when TLS is done: in TLS 1.3 a client is done before
 * the server has looked at its certificate.
 *
 * Invariants: at most one connection is being made; #session, where there is one, has been greeted and takes streams, or
 * has closed since. A session that was told to go away finishes its streams by itself, and the next stream makes a new one.
 */
import {
  type ClientHttp2Session,
  type ClientHttp2Stream,
  type ClientSessionRequestOptions,
  connect as connectHttp2,
  type OutgoingHttpHeaders,
} from "node:http2";
import { connect as connectTcp, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import { Code, ConnectError } from "@connectrpc/connect";
import type { Clock, Timer } from "../../base/clock.ts";
import type { Random } from "../../base/random.ts";
import { backoffMs } from "../../origin/backoff.ts";
import { type HandshakeFailures, handshakeFailureReason } from "./handshake-failures.ts";
import {
  sessionLimits,
  sessionWindowBytes,
  settingsFor,
  streamsPerSessionMax,
  type Traffic,
} from "./http2-limits.ts";
import { keepAlive } from "./keep-alive.ts";
import type { MeshTls } from "./mesh-tls.ts";

export interface PeerTimings {
  /** For TCP. */
  readonly connectTimeoutMs: number;
  /** For TLS and the beginning of HTTP/2. */
  readonly handshakeTimeoutMs: number;
  readonly pingIntervalMs: number;
  /** A session without streams is closed after this. */
  readonly idleTimeoutMs: number;
  /** Between attempts at a peer that could not be reached. Half of the longest one is how late a healed peer is found. */
  readonly backoffInitialMs: number;
  readonly backoffMaxMs: number;
}

/** Of all sessions of all peers together. */
export interface PeerStats {
  sessions: number;
  sessionsOpen: number;
  /** Ended because the peer did not answer pings. */
  sessionsDead: number;
  connectFailures: number;
  /** Refused without an attempt, while the backoff lasts. */
  requestsWhileDown: number;
  streams: number;
}

export interface PeerSessionOptions {
  /** `host:port`. */
  readonly address: string;
  readonly traffic: Traffic;
  /** Undefined for HTTP/2 without TLS. */
  readonly tls: MeshTls | undefined;
  readonly timings: PeerTimings;
  readonly stats: PeerStats;
  readonly refusals: HandshakeFailures;
  readonly clock: Clock;
  readonly random: Random;
  /** Makes the connection beneath, TCP where it is left out. */
  readonly dial?: ((host: string, port: number) => Socket) | undefined;
}

/** What a caller of a peer needs of a session. */
export interface StreamOpener {
  /** As ClientHttp2Session.request. @throws ConnectError as {@link PeerSession.request} does. */
  request(headers: OutgoingHttpHeaders, options?: ClientSessionRequestOptions): ClientHttp2Stream;
}

/** It is Connect's session manager as well: a transport sends its calls through it. */
export class PeerSession {
  /** Scheme, host and port, as a URL has them. */
  readonly authority: string;
  readonly #options: PeerSessionOptions;
  #session: ClientHttp2Session | undefined;
  #connecting: Promise<ClientHttp2Session> | undefined;
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

  get streams(): number {
    return this.#streams;
  }

  /**
   * A new stream, with the request's headers sent. Nobody needs to listen to its errors: they close it.
   * @throws ConnectError unavailable when the peer cannot be reached, resource_exhausted over the bound on streams.
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

  /** What opens streams on the session as it is now. @throws ConnectError unavailable when the peer cannot be reached. */
  async ready(): Promise<StreamOpener> {
    const session = this.#session;
    const usable = session && !session.closed && !session.destroyed;
    const ready = usable ? session : await this.#connect();
    return { request: (headers, options) => this.#openStream(ready, headers, options) };
  }

  /** For Connect, which tells its own session managers. Here pings alone say whether a peer lives. */
  notifyResponseByteRead(): void {}

  /** The peer was heard of since the last attempt failed: the next request makes another one at once. */
  retryNow(): void {
    this.#failures = 0;
    this.#retryAtMs = -Infinity;
  }

  /** Takes no more requests; streams that run may finish. */
  close(): void {
    this.#closed = true;
    this.#idleTimer?.cancel();
    this.#abandon?.(new Error("the session is being closed"));
    this.#session?.close();
  }

  /** {@link close}, and cuts what runs. */
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
        `Cannot ask ${address}: ${this.#streams} streams are open to it`,
        Code.ResourceExhausted,
      );
    }
    let stream: ClientHttp2Stream;
    try {
      stream = session.request(headers, options);
    } catch (thrown) {
      // Node's own check of headers fails with ERR_HTTP2_ codes as well, and is a bug of the caller.
      if (!session.closed && !session.destroyed) throw thrown;
      throw this.#unavailable("the session has ended", thrown);
    }
    stats.streams += 1;
    this.#streams += 1;
    this.#idleTimer?.cancel();
    // A session that ends takes its streams with it, each with an error event; whoever holds one listens as well.
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
    if (this.#closed) return Promise.reject(this.#unavailable("it is no longer a peer"));
    const waitMs = this.#retryAtMs - this.#options.clock.monotonic();
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

  /** Resolves when the peer has greeted, rejects with the first thing that went wrong. */
  #open(): Promise<ClientHttp2Session> {
    const { clock, tls, timings, traffic, dial = dialTcp } = this.#options;
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
        giveUp(timedOut("no greeting", timings.handshakeTimeoutMs)),
      );
    });
    for (const emitter of [socket, connection, session]) emitter.on("error", giveUp);
    session.once("close", () => giveUp(new Error("it closed the connection during the handshake")));
    session.once("remoteSettings", () => {
      timer.cancel();
      resolve(session);
    });
    this.#abandon = giveUp;
    return promise.finally(() => {
      this.#abandon = undefined;
    });
  }

  #adopt(session: ClientHttp2Session): void {
    const { clock, stats, timings } = this.#options;
    stats.sessions += 1;
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
    const { address, timings, random, clock, stats, refusals } = this.#options;
    this.#lastFailure = error.message;
    if (this.#closed) return this.#unavailable(error.message, error);
    stats.connectFailures += 1;
    refusals.count(
      handshakeFailureReason(error.code),
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

function timedOut(what: string, timeoutMs: number): Error {
  return Object.assign(new Error(`${what} within ${timeoutMs} ms`), { code: "ERR_TLS_HANDSHAKE_TIMEOUT" });
}
