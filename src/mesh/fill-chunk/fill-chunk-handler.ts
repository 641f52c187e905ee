/**
 * The sending side of FillChunk on a bare HTTP/2 stream, for Connect and for gRPC. It replaces Connect's stock handler
 * on this one path, because the stock handler copies every byte three times. Every other RPC uses stock handlers. The
 * stream gets one slice at a time. The slice stays pinned until its write has called back, or until the stream has
 * closed, because a stream that dies may never call back.
 *
 * A stream may close while frames of its slice still wait in the session for the socket: (1) a slice is half sent; (2)
 * its stream closes; (3) its segment is released, and the next owner writes into it; (4) the socket continues, and
 * sends other bytes in the remaining frames. If the caller has reset the stream, it does not read them. If this side
 * reset the stream, the caller would read them. So a stalled stream is not reset: its session is destroyed, and the
 * slice is released when the session's socket has closed.
 *
 * While there is nothing to send, the handler sends heartbeats. So the caller's deadline for silence measures this
 * replica, and a slow origin does not look like a dead peer.
 */
import type { Http2Session, IncomingHttpHeaders, ServerHttp2Stream } from "node:http2";
import { fromBinary } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import {
  type ChunkSource,
  type FillChunkRequest,
  FillChunkRequestSchema,
} from "../../../gen/orca/v1/fill_pb.ts";
import type { Clock, Timer } from "../../base/clock.ts";
import { KiB, MiB } from "../../base/units.ts";
import { type Subject, toConnectError } from "../codec/connect-error.ts";
import { type PeerRequestIds, traceHeaders } from "../session/peer-request-ids.ts";
import { StallDeadline } from "../session/stall-deadline.ts";
import { compressedFlag, envelopeSizeBytes, rpcProtocolOf } from "./envelope.ts";
import { FillStreamEncoder } from "./fill-stream-encoder.ts";

/**
 * The timings of both ends of a FillChunk stream. They stand together because they must fit: a sender that waits for
 * its origin sends several heartbeats within the silence that a caller tolerates.
 */
export interface FillTimings {
  /** How long a caller may take to send its request. */
  readonly requestTimeoutMs: number;
  /** Between two heartbeats of a sender that waits for bytes. */
  readonly heartbeatMs: number;
  /** How long a sender may be silent, and how long a caller may leave a slice unread. */
  readonly stallTimeoutMs: number;
  /** How long a caller waits for the next byte while the sender sends heartbeats. */
  readonly waitMaxMs: number;
}

export const defaultFillTimings: FillTimings = {
  requestTimeoutMs: 5000,
  heartbeatMs: 1000,
  stallTimeoutMs: 5000,
  waitMaxMs: 120_000,
};

/** Heartbeats within `cluster.stall_timeout`, after which a silent peer is given up. */
const heartbeatsPerStall = 4;

/** Those of a sender, by `cluster.stall_timeout`. */
export function senderTimings(stallTimeoutMs: number): Partial<FillTimings> {
  return { stallTimeoutMs, heartbeatMs: stallTimeoutMs / heartbeatsPerStall };
}

/** The path of FillChunk, the same in both protocols. */
export const fillChunkPath = "/orca.v1.FillService/FillChunk";

/** A key of 1 KiB, a bucket, an ETag and some numbers, with room for the fields of a newer caller. */
const requestSizeBytesMax = 16 * KiB;

/** Frames in which a request may arrive. A caller sends it in one or two, and each costs a copy of what came before. */
const requestSlicesMax = 64;

/** For all requests of a process. */
export const defaultReceivingBytesMax = 16 * MiB;

/** The bytes of a range, as an ObjectReader delivers them: on request, with one slice pinned at a time. */
export interface FillSlices {
  readonly done: boolean;
  /** The next bytes, or null if they have not arrived yet. */
  take(): Buffer | null;
  /** Resolves when {@link take} may succeed. */
  ready(): Promise<void>;
  /** Releases the slice of the last {@link take}. */
  release(): void;
  /** Releases everything. */
  close(): void;
}

export interface FillAnswer {
  readonly lengthBytes: number;
  readonly source: ChunkSource;
  readonly slices: FillSlices;
  /** SHA-256 of the whole chunk, or undefined if unknown. Called after the last byte. */
  sha256(): Promise<Uint8Array | undefined>;
}

export interface FillChunkHandlerOptions {
  /** Checks a request, and returns the bytes that answer it. The caller receives the error that it throws. */
  readonly answer: (
    request: FillChunkRequest,
    requestId: string | undefined,
  ) => FillAnswer | Promise<FillAnswer>;
  readonly clock: Clock;
  readonly timings?: Partial<FillTimings>;
  /** Without it, requests have no id. */
  readonly requestIds?: PeerRequestIds | undefined;
  /** Bytes of all requests that have not arrived completely. */
  readonly receivingBytesMax?: number;
}

export class FillChunkHandler {
  /** `malformed`: the request could not be decoded. `failed`: the answer was an error; includes malformed requests. */
  readonly stats = { requests: 0, malformed: 0, failed: 0, sentBytes: 0 };
  readonly #options: FillChunkHandlerOptions;
  readonly #timings: FillTimings;
  readonly #receivingBytesMax: number;
  #receivingBytes = 0;
  /** One listener for each session, however many streams it has. */
  readonly #closings = new WeakMap<Http2Session, Promise<void>>();

  constructor(options: FillChunkHandlerOptions) {
    this.#options = options;
    this.#receivingBytesMax = options.receivingBytesMax ?? defaultReceivingBytesMax;
    this.#timings = { ...defaultFillTimings, ...options.timings };
  }

  /** Answers a stream whose path is {@link fillChunkPath}. Never throws. */
  handle(stream: ServerHttp2Stream, headers: IncomingHttpHeaders): void {
    this.stats.requests += 1;
    // A reset by the caller raises an error event before the close. The handler waits for the close.
    stream.on("error", () => {});
    const protocol = rpcProtocolOf(headers["content-type"]);
    if (!protocol || headers[":method"] !== "POST") {
      this.stats.malformed += 1;
      const status = protocol ? 405 : 415;
      const accepts = protocol
        ? { allow: "POST" }
        : { "accept-post": "application/connect+proto, application/grpc" };
      stream.respond({ ":status": status, ...accepts }, { endStream: true });
      stream.resume();
      return;
    }
    void this.#serve(stream, new FillStreamEncoder(stream, protocol), headers);
  }

  async #serve(
    stream: ServerHttp2Stream,
    encoder: FillStreamEncoder,
    headers: IncomingHttpHeaders,
  ): Promise<void> {
    const { session } = stream;
    if (!session) return;
    const { answer, clock, requestIds } = this.#options;
    const sessionClosed = this.#closingOf(session);
    let request: FillChunkRequest | undefined;
    let transfer: FillTransfer | undefined;
    try {
      request = await this.#readRequest(stream);
      const [sentId, ...context] = traceHeaders.map((name) => headers[name]);
      const given = answer(request, requestIds?.of(sentId, ...context));
      transfer = new FillTransfer({
        stream,
        session,
        sessionClosed,
        encoder,
        answer: given instanceof Promise ? await given : given,
        clock,
        timings: this.#timings,
      });
      await transfer.run();
    } catch (thrown) {
      this.stats.failed += 1;
      if (!stream.destroyed && !stream.closed) encoder.fail(toConnectError(thrown, subjectOf(request)));
    } finally {
      this.stats.sentBytes += transfer?.sentBytes ?? 0;
    }
  }

  /** Resolves when the session's socket has closed. */
  #closingOf(session: Http2Session): Promise<void> {
    const known = this.#closings.get(session);
    if (known) return known;
    const { promise, resolve } = Promise.withResolvers<void>();
    session.once("close", resolve);
    this.#closings.set(session, promise);
    return promise;
  }

  /** Reads the one message of the request. Bytes after it are ignored: the stream is closed with the answer. */
  #readRequest(stream: ServerHttp2Stream): Promise<FillChunkRequest> {
    const { promise, resolve, reject } = Promise.withResolvers<FillChunkRequest>();
    const { requestTimeoutMs } = this.#timings;
    let received: Buffer = Buffer.alloc(0);
    let slices = 0;
    const fail = (reason: string, code: Code): void => {
      settle();
      this.stats.malformed += 1;
      reject(new ConnectError(`Cannot read a FillChunk request: ${reason}`, code));
    };
    const timer = this.#options.clock.timer(requestTimeoutMs, () =>
      fail(`it did not arrive within ${requestTimeoutMs} ms`, Code.DeadlineExceeded),
    );
    const onEnd = (): void => fail("it ends before its message", Code.InvalidArgument);
    const onData = (slice: Buffer): void => {
      received = Buffer.concat([received, slice]);
      slices += 1;
      this.#receivingBytes += slice.length;
      if (slices > requestSlicesMax) {
        return fail(`it arrives in more than ${requestSlicesMax} pieces`, Code.ResourceExhausted);
      }
      if (this.#receivingBytes > this.#receivingBytesMax) {
        return fail("too many bytes of other requests are being received", Code.ResourceExhausted);
      }
      if (received.length < envelopeSizeBytes) return;
      const sizeBytes = received.readUInt32BE(1);
      if ((received[0] as number) & compressedFlag) return fail("it is compressed", Code.Unimplemented);
      if (received[0] !== 0) return fail(`its envelope has the flags ${received[0]}`, Code.InvalidArgument);
      if (sizeBytes > requestSizeBytesMax) {
        const reason = `it has ${sizeBytes} bytes, at most ${requestSizeBytesMax} are accepted`;
        return fail(reason, Code.ResourceExhausted);
      }
      if (received.length < envelopeSizeBytes + sizeBytes) return;
      const message = received.subarray(envelopeSizeBytes, envelopeSizeBytes + sizeBytes);
      try {
        resolve(fromBinary(FillChunkRequestSchema, message));
        settle();
      } catch {
        fail("it is not a FillChunkRequest", Code.InvalidArgument);
      }
    };
    const settle = (): void => {
      timer.cancel();
      this.#receivingBytes -= received.length;
      received = Buffer.alloc(0);
      stream.off("data", onData).off("end", onEnd).off("close", onEnd);
      // The rest is discarded, so that the end of the caller's side arrives.
      stream.resume();
    };
    stream.on("data", onData).once("end", onEnd).once("close", onEnd);
    return promise;
  }
}

function subjectOf(request: FillChunkRequest | undefined): Subject {
  return request?.chunkKey ? { chunkKey: request.chunkKey, objectSize: request.objectSize } : {};
}

interface FillTransferOptions {
  readonly stream: ServerHttp2Stream;
  readonly session: Http2Session;
  readonly sessionClosed: Promise<void>;
  readonly encoder: FillStreamEncoder;
  readonly answer: FillAnswer;
  readonly clock: Clock;
  readonly timings: FillTimings;
}

/** Writes the bytes of one answer to one stream. */
class FillTransfer {
  sentBytes = 0;
  readonly #options: FillTransferOptions;
  readonly #stream: ServerHttp2Stream;
  readonly #answer: FillAnswer;
  readonly #deadline: StallDeadline;
  readonly #done = Promise.withResolvers<void>();
  /** Runs only while the transfer waits for bytes. */
  #heartbeat: Timer | undefined;
  /** The stream has a slice. */
  #writing = false;

  constructor(options: FillTransferOptions) {
    this.#options = options;
    this.#stream = options.stream;
    this.#answer = options.answer;
    this.#deadline = new StallDeadline(options.clock, options.timings.stallTimeoutMs, () =>
      options.session.destroy(),
    );
  }

  /** Resolves when all is sent or the caller has left. Rejects if the bytes cannot be read. Always releases them. */
  async run(): Promise<void> {
    const { answer, encoder } = this.#options;
    try {
      if (this.#stream.destroyed || this.#stream.closed) return;
      this.#stream.once("close", () => this.#done.resolve());
      encoder.begin(answer.lengthBytes, answer.source);
      this.#next();
      await this.#done.promise;
      if (this.#writing && this.#options.session.destroyed) await this.#options.sessionClosed;
    } finally {
      this.#deadline.end();
      this.#heartbeat?.cancel();
      answer.slices.close();
    }
  }

  #next(): void {
    const { slices } = this.#answer;
    if (slices.done) {
      return this.#wait(this.#answer.sha256(), (sha256) => {
        this.#deadline.restart();
        this.#options.encoder.end(sha256);
      });
    }
    const slice = slices.take();
    if (slice === null) return this.#wait(slices.ready(), () => this.#next());
    this.sentBytes += slice.length;
    this.#writing = true;
    this.#deadline.restart();
    this.#options.encoder.data(slice, this.#onWritten);
  }

  readonly #onWritten = (error?: Error | null): void => {
    // After an error the stream closes, and run() releases everything.
    if (error || this.#stream.destroyed) return;
    this.#writing = false;
    // An exception here would leave the event of the stream, and end the process.
    try {
      this.#answer.slices.release();
      this.#next();
    } catch (thrown) {
      this.#done.reject(thrown);
    }
  };

  /** Calls `resume` with the result of `awaited`. Until then, the caller receives heartbeats. */
  #wait<T>(awaited: Promise<T>, resume: (value: T) => void): void {
    // The origin has deadlines of its own, so the caller's stands still meanwhile.
    this.#deadline.pause();
    this.#armHeartbeat();
    awaited
      .then((value) => {
        this.#heartbeat?.cancel();
        if (!this.#stream.destroyed) resume(value);
      })
      .catch((thrown: unknown) => this.#done.reject(thrown));
  }

  #armHeartbeat(): void {
    if (this.#heartbeat) return this.#heartbeat.refresh();
    const { clock, timings, encoder } = this.#options;
    this.#heartbeat = clock.timer(timings.heartbeatMs, () => {
      encoder.heartbeat();
      this.#heartbeat?.refresh();
    });
  }
}
