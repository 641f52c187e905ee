/**
 * The client of one other replica: one session for control, and one for chunk bytes. All streams of a session share one
 * connection. On a shared one, a ping of the membership would wait for megabytes of chunks, and a loaded replica would
 * look dead.
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

export class Peer {
  /** `host:port`. */
  readonly address: string;
  /** For calls with one answer, uncompressed, over the control session. */
  readonly transport: Transport;
  readonly #control: PeerSession;
  readonly #bytes: PeerSession;

  constructor(options: PeerOptions) {
    this.address = options.address;
    this.#control = new PeerSession({ ...options, traffic: "control" });
    this.#bytes = new PeerSession({ ...options, traffic: "bytes" });
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
    return this.#control.streams + this.#bytes.streams;
  }

  /**
   * Opens a stream on the session for chunk bytes, and sends the headers of a POST. The stream has no deadline as a
   * whole; its reader uses a StallDeadline.
   * @throws ConnectError unavailable if the peer is unreachable, resource_exhausted over the limit of streams.
   */
  request(path: string, headers: OutgoingHttpHeaders): Promise<ClientHttp2Stream> {
    return this.#bytes.request("POST", path, headers);
  }

  /**
   * The session for chunk bytes, for several streams or for one opened later. Each of them must use its slices up as they
   * arrive, because the last slice of a read frees it (fill-chunk-call.ts). @throws as {@link request} does.
   */
  bytes(): Promise<StreamOpener> {
    return this.#bytes.ready();
  }

  /** @see PeerSession.retryNow */
  retryNow(): void {
    this.#control.retryNow();
    this.#bytes.retryNow();
  }

  /** Accepts no more requests, and lets running streams finish. */
  close(): void {
    this.#control.close();
    this.#bytes.close();
  }

  /** Accepts no more requests, and cuts running streams. */
  destroy(): void {
    this.#control.destroy();
    this.#bytes.destroy();
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
