/**
 * Another replica as this one calls it: one session for control and one for chunk bytes. They are two because all that
 * is on a session shares one connection: behind a few megabytes of chunks a ping of the membership would be late, and
 * load would be taken for death.
 */
import type { ClientHttp2Stream, OutgoingHttpHeaders } from "node:http2";
import type { Transport } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-node";
import { callDeadline } from "./call-deadline.ts";
import { messageBytesMax } from "./message-limits.ts";
import { PeerSession, type PeerSessionOptions, type StreamOpener } from "./peer-session.ts";

export interface PeerOptions extends Omit<PeerSessionOptions, "traffic"> {
  /** Bound on a call whose caller has no shorter one. */
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

  /** Streams that are open to it. */
  get streams(): number {
    return this.#control.streams + this.#bytes.streams;
  }

  /**
   * A stream on the session for chunk bytes, with the headers of a POST sent. It has no bound in time; its reader keeps a
   * StallDeadline.
   * @throws ConnectError unavailable when the peer cannot be reached, resource_exhausted over the bound on streams.
   */
  request(path: string, headers: OutgoingHttpHeaders): Promise<ClientHttp2Stream> {
    return this.#bytes.request("POST", path, headers);
  }

  /** For several streams, or one opened later, on the session for chunk bytes. @throws as {@link request} does. */
  bytes(): Promise<StreamOpener> {
    return this.#bytes.ready();
  }

  /** @see PeerSession.retryNow */
  retryNow(): void {
    this.#control.retryNow();
    this.#bytes.retryNow();
  }

  /** Takes no more requests; streams that run may finish. */
  close(): void {
    this.#control.close();
    this.#bytes.close();
  }

  /** {@link close}, and cuts what runs. */
  destroy(): void {
    this.#control.destroy();
    this.#bytes.destroy();
  }
}
