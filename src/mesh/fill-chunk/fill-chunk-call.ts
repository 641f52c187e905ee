/**
 * The receiving side of FillChunk on a bare HTTP/2 stream: it sends one request, and writes the answer straight into a
 * sink. A call has no deadline as a whole, because a fill takes as long as its origin. It has two deadlines for
 * standing still. Silence is the peer's fault, because a peer that waits for its origin sends heartbeats. Heartbeats
 * without a byte between them are the origin's fault, and the call tolerates them for much longer. The call settles
 * when the stream has closed. From then on nothing uses the sink.
 */
import type { ClientHttp2Stream, IncomingHttpHeaders, OutgoingHttpHeaders } from "node:http2";
import { create, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { ConnectError } from "@connectrpc/connect";
import { codeFromHttpStatus } from "@connectrpc/connect/protocol-connect";
import { FillChunkRequestSchema, type FillTrailer } from "../../../gen/orca/v1/fill_pb.ts";
import type { Clock } from "../../base/clock.ts";
import type { StreamOpener } from "../session/peer-session.ts";
import { StallDeadline } from "../session/stall-deadline.ts";
import { contentTypeOf, enveloped, type RpcProtocol, rpcProtocolOf } from "./envelope.ts";
import { fillChunkPath } from "./fill-chunk-handler.ts";
import { type FillHeaderReceiver, FillStreamDecoder } from "./fill-stream-decoder.ts";
import { FillStreamFault } from "./fill-stream-fault.ts";

export interface FillChunkCallOptions {
  readonly session: StreamOpener;
  readonly request: MessageInitShape<typeof FillChunkRequestSchema>;
  /** Of the client's request for which the peer is asked. */
  readonly headers?: OutgoingHttpHeaders | undefined;
  /** Checks the header, and returns the sink for the bytes. An exception ends the call. */
  readonly onHeader: FillHeaderReceiver;
  readonly signal: AbortSignal;
  readonly clock: Clock;
  /** How long the peer may be silent. */
  readonly stallTimeoutMs: number;
  /** How long the peer may send no byte, even if it sends heartbeats. */
  readonly waitMaxMs: number;
  /** Connect by default, as in all calls of Orca. */
  readonly protocol?: RpcProtocol;
}

/**
 * Resolves with the trailer when all bytes that the header promised are in the sink. After a rejection the sink holds a
 * true prefix of them.
 * @throws the ConnectError that the peer sent, or that of {@link StreamOpener.request}; FillStreamFault; the exception
 * of `onHeader`; the signal's reason.
 */
export function callFillChunk(options: FillChunkCallOptions): Promise<FillTrailer> {
  options.signal.throwIfAborted();
  return new FillChunkCall(options).trailer.promise;
}

class FillChunkCall {
  readonly trailer = Promise.withResolvers<FillTrailer>();
  readonly #protocol: RpcProtocol;
  readonly #decoder: FillStreamDecoder;
  readonly #stream: ClientHttp2Stream;
  readonly #signal: AbortSignal;
  readonly #deadline: StallDeadline;
  readonly #clock: Clock;
  readonly #waitMaxMs: number;
  /** When the first slice without data arrived, if none with data has arrived since. */
  #idleSinceMs: number | undefined;
  #failure: unknown;
  #failed = false;
  /** HTTP trailers, or the headers of a gRPC answer without a body. */
  #trailers = new Headers();

  constructor({ session, request, onHeader, signal, clock, stallTimeoutMs, ...rest }: FillChunkCallOptions) {
    this.#protocol = rest.protocol ?? "connect";
    this.#clock = clock;
    this.#waitMaxMs = rest.waitMaxMs;
    this.#decoder = new FillStreamDecoder(this.#protocol, onHeader);
    this.#signal = signal;
    this.#stream = session.request({
      ":method": "POST",
      ":path": fillChunkPath,
      "content-type": contentTypeOf(this.#protocol),
      ...rest.headers,
      ...(this.#protocol === "connect" ? { "connect-protocol-version": "1" } : { te: "trailers" }),
    });
    this.#deadline = new StallDeadline(clock, stallTimeoutMs, () =>
      this.#fail(new FillStreamFault("truncated", `no byte arrived within ${stallTimeoutMs} ms`)),
    );
    signal.addEventListener("abort", this.#onAbort, { once: true });
    this.#stream
      .on("response", (headers) => this.#guarded(() => this.#onResponse(headers)))
      .on("data", (slice: Buffer) => this.#onData(slice))
      .on("trailers", (headers) => this.#guarded(() => this.#collectTrailers(headers)))
      .on("error", (error) => this.#fail(new FillStreamFault("truncated", error.message, error)))
      .on("close", () => this.#onClose());
    this.#stream.end(enveloped(0, toBinary(FillChunkRequestSchema, create(FillChunkRequestSchema, request))));
  }

  readonly #onAbort = (): void => this.#fail(this.#signal.reason);

  /** Runs the handler of an event. What it throws about a peer's headers ends this call, and nothing else. */
  #guarded(action: () => void): void {
    try {
      action();
    } catch (thrown) {
      this.#fail(thrown);
    }
  }

  #onResponse(headers: IncomingHttpHeaders): void {
    const status = Number(headers[":status"]);
    if (status !== 200) {
      return this.#fail(
        new ConnectError(`the peer answered with HTTP ${status}`, codeFromHttpStatus(status)),
      );
    }
    if (rpcProtocolOf(headers["content-type"]) !== this.#protocol) {
      return this.#fail(new FillStreamFault("malformed", `its content type is "${headers["content-type"]}"`));
    }
    if (headers["grpc-status"] !== undefined) this.#collectTrailers(headers);
  }

  #onData(slice: Buffer): void {
    if (this.#failed) return;
    // Memory that was freed has no length. Without this, its bytes would be left out unseen.
    if (slice.length === 0) {
      return this.#fail(new FillStreamFault("truncated", "a slice came after its read had been freed"));
    }
    this.#deadline.restart();
    const { owedBytes } = this.#decoder;
    try {
      this.#decoder.push(slice);
    } catch (thrown) {
      return this.#fail(thrown);
    }
    freeRead(slice);
    if (this.#decoder.owedBytes !== owedBytes) this.#idleSinceMs = undefined;
    else this.#onIdle();
  }

  /** A slice held no data: a heartbeat, or fields that this version does not know. */
  #onIdle(): void {
    const nowMs = this.#clock.monotonic();
    this.#idleSinceMs ??= nowMs;
    if (nowMs - this.#idleSinceMs <= this.#waitMaxMs) return;
    this.#fail(new FillStreamFault("stalled", `only heartbeats arrived for ${this.#waitMaxMs} ms`));
  }

  #collectTrailers(headers: IncomingHttpHeaders): void {
    for (const name of ["grpc-status", "grpc-message", "grpc-status-details-bin"]) {
      const value = headers[name];
      if (typeof value === "string") this.#trailers.set(name, value);
    }
  }

  #onClose(): void {
    this.#deadline.end();
    this.#signal.removeEventListener("abort", this.#onAbort);
    if (this.#failed) return this.trailer.reject(this.#failure);
    try {
      this.trailer.resolve(this.#decoder.end(this.#trailers));
    } catch (thrown) {
      this.trailer.reject(thrown);
    }
  }

  /** Keeps the first failure and resets the stream. Its close settles the call. */
  #fail(reason: unknown): void {
    if (this.#failed) return;
    this.#failed = true;
    this.#failure = reason;
    this.#decoder.stop();
    this.#stream.destroy();
  }
}

/**
 * Frees the memory of a read once all of its bytes are copied. Each read of a session, 16 KiB with TLS, is an ArrayBuffer
 * of its own. For every 64 MiB of them V8 collects the garbage of the whole heap, which costs more than to receive them.
 *
 * Node cuts a read into slices for the streams that have bytes in it, and delivers them in order. So the slice that ends
 * with the read is the last one, and those before it are decoded, because every stream of the session is such a call.
 */
function freeRead({ buffer, byteOffset, length }: Buffer): void {
  if (length > 0 && byteOffset + length === buffer.byteLength) (buffer as ArrayBuffer).transfer(0);
}
