/**
 * The client of one other replica: one session for control, and one for chunk bytes. All streams of a session share one
 * connection. On a shared one, a ping of the membership would wait for megabytes of chunks, and a loaded replica would
 * look dead.
 *
 * A peer may offer a port for chunk bytes (bytes-port.ts). A session to that port is then opened while chunks are read over
 * the mesh port, and takes the place of the one there when it is open. So a port that cannot be reached costs no read
 * anything. It is tried again with long pauses.
 */
import type { ClientHttp2Stream, OutgoingHttpHeaders } from "node:http2";
import { Code, ConnectError, type Interceptor, type Transport } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-node";
import type { Clock } from "../../base/clock.ts";
import { messageBytesMax } from "./http2-limits.ts";
import { PeerSession, type PeerSessionOptions, type StreamOpener } from "./peer-session.ts";

export interface PeerOptions extends Omit<PeerSessionOptions, "traffic"> {
  /** For a call whose caller sets no shorter deadline. */
  readonly callTimeoutMs: number;
}

/** A firewall may stay closed for ever, and reads do not wait for the port. */
const offeredTimings = { backoffInitialMs: 1000, backoffMaxMs: 60_000 };

export class Peer {
  /** `host:port`. */
  readonly address: string;
  /** For calls with one answer, uncompressed, over the control session. */
  readonly transport: Transport;
  readonly #control: PeerSession;
  readonly #bytes: PeerSession;
  /** To the port that the peer has offered. */
  #offered: PeerSession | undefined;
  readonly #options: PeerOptions;

  constructor(options: PeerOptions) {
    this.address = options.address;
    this.#control = new PeerSession({ ...options, traffic: "control" });
    this.#options = options;
    this.#bytes = new PeerSession({
      ...options,
      traffic: "bytes",
      onConnecting: () => this.#forgetOffer(),
      onOffer: (port) => this.#takeOffer(port),
    });
    this.transport = createConnectTransport({
      baseUrl: this.#control.authority,
      httpVersion: "2",
      sessionManager: this.#control,
      useBinaryFormat: true,
      acceptCompression: [],
      readMaxBytes: messageBytesMax,
      writeMaxBytes: messageBytesMax,
      interceptors: [callDeadline(options.clock, options.callTimeoutMs)],
    });
  }

  /** The replicas for which the certificate at the control session was issued. Undefined if it names none. */
  get replicaIds(): ReadonlySet<string> | undefined {
    return this.#control.replicaIds;
  }

  /** Open streams to this peer. */
  get streams(): number {
    return this.#control.streams + this.#bytes.streams + (this.#offered?.streams ?? 0);
  }

  /**
   * Opens a stream on the session for chunk bytes, and sends the headers of a POST. The stream has no deadline as a
   * whole; its reader uses a StallDeadline.
   * @throws ConnectError unavailable if the peer is unreachable, resource_exhausted over the limit of streams.
   */
  async request(path: string, headers: OutgoingHttpHeaders): Promise<ClientHttp2Stream> {
    const opener = await this.bytes();
    return opener.request({ ...headers, ":method": "POST", ":path": path });
  }

  /**
   * The session for chunk bytes, for several streams or for one opened later. Each of them must use its slices up as they
   * arrive, because the last slice of a read frees it (fill-chunk-call.ts). @throws as {@link request} does.
   */
  async bytes(): Promise<StreamOpener> {
    // An offer ends with the next connection to the mesh port. An attempt to follow it would be cut.
    const isOffered = this.#bytes.isOpen || this.#offered?.isOpen;
    return (isOffered && this.#offered?.now()) || this.#bytes.ready();
  }

  /** @see PeerSession.retryNow */
  retryNow(): void {
    this.#control.retryNow();
    this.#bytes.retryNow();
    this.#offered?.retryNow();
  }

  /** Accepts no more requests, and lets running streams finish. */
  close(): void {
    this.#control.close();
    this.#bytes.close();
    this.#offered?.close();
  }

  /** Accepts no more requests, and cuts running streams. */
  destroy(): void {
    this.#control.destroy();
    this.#bytes.destroy();
    this.#offered?.destroy();
  }

  #takeOffer(port: number): void {
    const { hostname } = new URL(this.#control.authority);
    const { timings } = this.#options;
    this.#offered ??= new PeerSession({
      ...this.#options,
      address: `${hostname}:${port}`,
      traffic: "bytes",
      timings: { ...timings, ...offeredTimings },
    });
    this.#offered.now();
  }

  /** Another process may have the peer's address now, which offers another port, or none. */
  #forgetOffer(): void {
    if (this.#offered?.isOpen) return;
    this.#offered?.close();
    this.#offered = undefined;
  }
}

/**
 * Ends a call with `deadline_exceeded` after `timeoutMs`, whatever signal the caller sets. Connect has deadlines, too,
 * but they read the system's time and not the Clock.
 */
function callDeadline(clock: Clock, timeoutMs: number): Interceptor {
  return (next) => async (request) => {
    if (request.stream) return next(request);
    const stop = new AbortController();
    const timer = clock.timer(timeoutMs, () =>
      stop.abort(
        new ConnectError(
          `Cannot call ${request.method.name}: no answer within ${timeoutMs} ms`,
          Code.DeadlineExceeded,
        ),
      ),
    );
    try {
      return await next({ ...request, signal: AbortSignal.any([request.signal, stop.signal]) });
    } finally {
      timer.cancel();
    }
  };
}
