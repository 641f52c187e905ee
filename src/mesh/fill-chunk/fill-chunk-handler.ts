/**
 * The sending side of FillChunk on a bare HTTP/2 stream, for Connect and for gRPC. It stands in for Connect's stock handler
 * on this one path, because that one copies every byte three times; every other RPC is stock. One slice is with
 * the stream at a time and stays pinned until its write has called back, or the stream has closed: a stream that dies
 * may never call back.
 *
 * A stream may close while frames of its slice still wait in its session for the socket. (1) A slice is half sent; (2)
 * its stream closes; (3) the segment is given back, and the next owner writes into it; (4) the socket moves on and sends
 * the rest of those frames: other bytes. Where the caller has reset the stream, it reads no more of it. Where the end
 * came from here, it would: so a stream that stands still is not reset, its session is destroyed, and what is pinned
 * is given back when the session's socket has closed.
 *
 * While there is nothing to write, a heartbeat goes out now and then: so a caller's deadline on silence measures this
 * replica, and a slow origin is not taken for a dead peer.
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
import { KiB } from "../../base/units.ts";
import { type Subject, toConnectError } from "../codec/connect-error.ts";
import { StallDeadline } from "../session/stall-deadline.ts";
import { compressedFlag, envelopeSizeBytes, rpcProtocolOf } from "./envelope.ts";
import { FillStreamEncoder } from "./fill-stream-encoder.ts";
import { defaultFillTimings, type FillTimings } from "./fill-timings.ts";

/** The path of FillChunk, which is the same in both protocols. */
export const fillChunkPath = "/orca.v1.FillService/FillChunk";

/** A key of 1 KiB, a bucket, an ETag and some numbers, with room for what a newer caller adds. */
const requestSizeBytesMax = 16 * KiB;

/** The bytes of a stretch as an ObjectReader gives them out: pulled, one slice pinned at a time. */
export interface FillSlices {
  readonly done: boolean;
  /** The next bytes, or null where they are not there yet. */
  take(): Buffer | null;
  /** Resolves when {@link take} is worth another try. */
  ready(): Promise<void>;
  /** Gives back what {@link take} gave out. */
  release(): void;
  /** Lets go of everything. */
  close(): void;
}

export interface FillAnswer {
  readonly lengthBytes: number;
  readonly source: ChunkSource;
  readonly slices: FillSlices;
  /** SHA-256 of the whole chunk, undefined where it is not known. Asked for behind the last byte. */
  sha256(): Promise<Uint8Array | undefined>;
}

export interface FillChunkHandlerOptions {
  /** Judges a request and says where its bytes will come from. What it throws is the answer. */
  readonly answer: (request: FillChunkRequest) => FillAnswer;
  readonly clock: Clock;
  readonly timings?: Partial<FillTimings>;
}

export class FillChunkHandler {
  /** `malformed`: no FillChunkRequest could be read. `failed`: answered with an error, those among them. */
  readonly stats = { requests: 0, malformed: 0, failed: 0, sentBytes: 0 };
  readonly #options: FillChunkHandlerOptions;
  readonly #timings: FillTimings;
  /** One listener a session, however many streams it has. */
  readonly #closings = new WeakMap<Http2Session, Promise<void>>();

  constructor(options: FillChunkHandlerOptions) {
    this.#options = options;
    this.#timings = { ...defaultFillTimings, ...options.timings };
  }

  /** Takes over a stream whose path is {@link fillChunkPath}. Never throws. */
  handle(stream: ServerHttp2Stream, headers: IncomingHttpHeaders): void {
    this.stats.requests += 1;
    // A reset by the caller is an error event before it is a close; the close is what counts.
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
    void this.#serve(stream, new FillStreamEncoder(stream, protocol));
  }

  async #serve(stream: ServerHttp2Stream, encoder: FillStreamEncoder): Promise<void> {
    const { session } = stream;
    if (!session) return;
    const { answer, clock } = this.#options;
    const sessionClosed = this.#closingOf(session);
    let request: FillChunkRequest | undefined;
    let transfer: FillTransfer | undefined;
    try {
      request = await this.#readRequest(stream);
      transfer = new FillTransfer({
        stream,
        session,
        sessionClosed,
        encoder,
        answer: answer(request),
        clock,
        timings: this.#timings,
      });
      await transfer.run();
    } catch (thrown) {
      this.stats.failed += 1;
      if (!stream.destroyed) encoder.fail(toConnectError(thrown, subjectOf(request)));
    } finally {
      this.stats.sentBytes += transfer?.sentBytes ?? 0;
    }
  }

  /** Resolves when the socket of a session has closed. */
  #closingOf(session: Http2Session): Promise<void> {
    const known = this.#closings.get(session);
    if (known) return known;
    const { promise, resolve } = Promise.withResolvers<void>();
    session.once("close", resolve);
    this.#closings.set(session, promise);
    return promise;
  }

  /** The one message of the request. What follows it is not read: the stream is closed with the answer. */
  #readRequest(stream: ServerHttp2Stream): Promise<FillChunkRequest> {
    const { promise, resolve, reject } = Promise.withResolvers<FillChunkRequest>();
    const { requestTimeoutMs } = this.#timings;
    let received: Buffer = Buffer.alloc(0);
    const refuse = (reason: string, code: Code): void => {
      settle();
      this.stats.malformed += 1;
      reject(new ConnectError(`Cannot read a FillChunk request: ${reason}`, code));
    };
    const timer = this.#options.clock.timer(requestTimeoutMs, () =>
      refuse(`it has not come within ${requestTimeoutMs} ms`, Code.DeadlineExceeded),
    );
    const onEnd = (): void => refuse("it ends before its message", Code.InvalidArgument);
    const onData = (slice: Buffer): void => {
      received = Buffer.concat([received, slice]);
      if (received.length < envelopeSizeBytes) return;
      const sizeBytes = received.readUInt32BE(1);
      if ((received[0] as number) & compressedFlag) return refuse("it is compressed", Code.Unimplemented);
      if (received[0] !== 0) return refuse(`its envelope has the flags ${received[0]}`, Code.InvalidArgument);
      if (sizeBytes > requestSizeBytesMax) {
        return refuse(`${sizeBytes} bytes, more than ${requestSizeBytesMax}`, Code.ResourceExhausted);
      }
      if (received.length < envelopeSizeBytes + sizeBytes) return;
      const message = received.subarray(envelopeSizeBytes, envelopeSizeBytes + sizeBytes);
      try {
        resolve(fromBinary(FillChunkRequestSchema, message));
        settle();
      } catch {
        refuse("it is not a FillChunkRequest", Code.InvalidArgument);
      }
    };
    const settle = (): void => {
      timer.cancel();
      stream.off("data", onData).off("end", onEnd).off("close", onEnd);
      // The rest is let through, so that the caller's end of the stream is seen.
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

/** The way of one answer's bytes into one stream. */
class FillTransfer {
  sentBytes = 0;
  readonly #options: FillTransferOptions;
  readonly #stream: ServerHttp2Stream;
  readonly #answer: FillAnswer;
  readonly #deadline: StallDeadline;
  readonly #done = Promise.withResolvers<void>();
  /** Runs only while bytes are awaited. */
  #heartbeat: Timer | undefined;
  /** A slice is with the stream. */
  #writing = false;

  constructor(options: FillTransferOptions) {
    this.#options = options;
    this.#stream = options.stream;
    this.#answer = options.answer;
    this.#deadline = new StallDeadline(options.clock, options.timings.stallTimeoutMs, () => {
      // An origin that lets us wait has deadlines of its own.
      if (this.#writing) options.session.destroy();
      else this.#deadline.restart();
    });
  }

  /** Resolves when all is sent or the caller has gone; rejects with what kept the bytes away. Lets go of them all. */
  async run(): Promise<void> {
    const { answer, encoder } = this.#options;
    try {
      if (this.#stream.destroyed) return;
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
    if (slices.done) return this.#await(this.#answer.sha256(), (sha256) => this.#options.encoder.end(sha256));
    const slice = slices.take();
    if (slice === null) return this.#await(slices.ready(), () => this.#next());
    this.sentBytes += slice.length;
    this.#writing = true;
    this.#deadline.restart();
    this.#options.encoder.data(slice, this.#onWritten);
  }

  readonly #onWritten = (error?: Error | null): void => {
    // With an error the stream closes, and then everything is let go of.
    if (error || this.#stream.destroyed) return;
    this.#writing = false;
    this.#answer.slices.release();
    this.#next();
  };

  /** Goes on with what `awaited` brings. Until it does, the caller hears now and then that there is somebody. */
  #await<T>(awaited: Promise<T>, goOn: (value: T) => void): void {
    this.#armHeartbeat();
    awaited.then(
      (value) => {
        this.#heartbeat?.cancel();
        if (!this.#stream.destroyed) goOn(value);
      },
      (thrown: unknown) => this.#done.reject(thrown),
    );
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
