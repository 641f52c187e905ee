/**
 * Passes calls from HTTP/2 streams to the handlers that Connect makes of the services. It takes the place of Connect's
 * adapter for Node. The adapter builds a URL from whatever authority the client sent, and throws if that is not one. It
 * also waits for a body, and for a caller that does not read, as long as they like.
 *
 * Connect holds the bytes of a body until the body is complete, and Node those of an answer until the caller has taken
 * them. So both are bounded over all sessions together, and for one session: a peer can use up its own share only.
 *
 * Invariants:
 * 1. Bytes are counted before they are handed on. Each call releases what it counted, however it ends.
 * 2. A call that ends closes its stream. Nothing of its body is read after that.
 */
import { constants, type IncomingHttpHeaders, type ServerHttp2Stream } from "node:http2";
import {
  Code,
  ConnectError,
  type ConnectRouter,
  type ContextValues,
  createConnectRouter,
  createContextValues,
} from "@connectrpc/connect";
import type { UniversalHandler, UniversalServerResponse } from "@connectrpc/connect/protocol";
import type { Clock } from "../../base/clock.ts";
import { KiB, MiB } from "../../base/units.ts";
import { bodyBytesMaxKey, type Caller, callerKey } from "./caller.ts";
import { messageBytesMax, requestBytesMax } from "./http2-limits.ts";

/** Bounds of the calls in progress. Those that are not `PerSession` hold for all sessions together. */
export interface RpcLimits {
  /** Bodies that are being received. */
  readonly bodiesMax: number;
  readonly bodyBytesMax: number;
  readonly bodyBytesPerSessionMax: number;
  /** Answers that their callers have not taken yet. */
  readonly answerBytesMax: number;
  readonly answerBytesPerSessionMax: number;
  /** How long a caller may take to send a call with one message. */
  readonly bodyTimeoutMs: number;
  /** How long a call with several messages may take as a whole. */
  readonly streamTimeoutMs: number;
  /** How long a caller may take to receive an answer with one message. */
  readonly answerTimeoutMs: number;
}

const defaultRpcLimits: RpcLimits = {
  bodiesMax: 16_384,
  bodyBytesMax: 64 * MiB,
  bodyBytesPerSessionMax: 16 * MiB,
  answerBytesMax: 128 * MiB,
  answerBytesPerSessionMax: 32 * MiB,
  bodyTimeoutMs: 5000,
  streamTimeoutMs: 60_000,
  answerTimeoutMs: 30_000,
};

/** The body of a call with several messages. Tools send a handful of short ones. */
const streamBodyBytesMax = 256 * KiB;

/** What a slice costs in addition to its bytes. So a body of single bytes cannot take more memory than is counted. */
const sliceOverheadBytes = 256;

/** The longest deadline that a caller may name in its headers. Node cannot keep those above 2^31 ms. */
const namedTimeoutMaxMs = 3_600_000;

/** How long a stream may stay open after the end of its answer, so that the answer arrives before a reset. */
const closeDelayMs = 1000;

export interface RpcServerOptions {
  readonly routes: (router: ConnectRouter) => void;
  readonly clock: Clock;
  readonly limits?: Partial<RpcLimits> | undefined;
}

/** What all calls share. */
interface Shared {
  readonly clock: Clock;
  readonly limits: RpcLimits;
  readonly stats: RpcServer["stats"];
  bodies: number;
  bodyBytes: number;
  answerBytes: number;
}

export class RpcServer {
  readonly stats = {
    /** Ended because the body did not arrive in time. */
    bodyLate: 0,
    /** Ended because the caller did not take the answer in time. */
    answerLate: 0,
    /** Ended because too many bytes or bodies were in transit. */
    overBudget: 0,
  };
  readonly #shared: Shared;
  readonly #handlers: ReadonlyMap<string, UniversalHandler>;

  constructor({ routes, clock, limits }: RpcServerOptions) {
    const router = createConnectRouter({
      grpcWeb: false,
      // Compressed messages are not accepted, so that a small message cannot become a large one.
      acceptCompression: [],
      readMaxBytes: requestBytesMax,
      writeMaxBytes: messageBytesMax,
      maxTimeoutMs: namedTimeoutMaxMs,
    });
    routes(router);
    this.#handlers = new Map(router.handlers.map((handler) => [handler.requestPath, handler]));
    this.#shared = {
      clock,
      limits: { ...defaultRpcLimits, ...limits },
      stats: this.stats,
      bodies: 0,
      bodyBytes: 0,
      answerBytes: 0,
    };
  }

  /** Bytes of bodies that are being received. */
  get bodyBytes(): number {
    return this.#shared.bodyBytes;
  }

  /** Bytes of answers that their callers have not taken. */
  get answerBytes(): number {
    return this.#shared.answerBytes;
  }

  /** Answers the call of a stream. Rejects if the call failed and was not answered. */
  async serve(stream: ServerHttp2Stream, headers: IncomingHttpHeaders, caller: Caller): Promise<void> {
    const [path = ""] = (headers[":path"] ?? "").split("?", 1);
    const handler = this.#handlers.get(path);
    if (!handler) {
      stream.respond({ ":status": 404 }, { endStream: true });
      closeSoon(stream, this.#shared.clock);
      return;
    }
    await new RpcCall(stream, caller, this.#shared).run(handler, headers);
  }
}

/** One call on one stream. */
class RpcCall {
  readonly #stream: ServerHttp2Stream;
  readonly #caller: Caller;
  readonly #shared: Shared;
  readonly #values: ContextValues = createContextValues();
  readonly #closed = Promise.withResolvers<void>();
  #isReceiving = false;
  #receivingBytes = 0;
  #answeringBytes = 0;

  constructor(stream: ServerHttp2Stream, caller: Caller, shared: Shared) {
    this.#stream = stream;
    this.#caller = caller;
    this.#shared = shared;
    this.#values.set(callerKey, caller);
  }

  async run(handler: UniversalHandler, headers: IncomingHttpHeaders): Promise<void> {
    const isUnary = handler.method.methodKind === "unary";
    const stop = new AbortController();
    this.#stream.once("close", () => {
      this.#closed.resolve();
      stop.abort();
    });
    try {
      const response = await handler({
        httpVersion: "2.0",
        method: headers[":method"] ?? "",
        // Handlers read the query of a URL only, and no call of Orca has one.
        url: `http://mesh${handler.requestPath}`,
        header: webHeadersOf(headers),
        body: this.#body(isUnary),
        signal: stop.signal,
        contextValues: this.#values,
      });
      this.#endReceiving();
      // Node resets a stream that was answered before anything read its body, and the answer could be lost.
      if (isUnary && !this.#stream.closed) this.#stream.resume();
      await this.#answer(response);
    } finally {
      this.#endReceiving();
      this.#endAnswering();
    }
  }

  /** The slices of the body, as they arrive. @throws ConnectError for a body that is late, or larger than it may be. */
  async *#body(isUnary: boolean): AsyncGenerator<Uint8Array> {
    const { clock, limits, stats } = this.#shared;
    const timeoutMs = isUnary ? limits.bodyTimeoutMs : limits.streamTimeoutMs;
    const late = Promise.withResolvers<never>();
    // The deadline may pass while nothing waits for it.
    late.promise.catch(() => undefined);
    const timer = clock.timer(timeoutMs, () => {
      stats.bodyLate += 1;
      late.reject(rejected(`its body did not end within ${timeoutMs} ms`, Code.DeadlineExceeded));
    });
    const slices = this.#stream.iterator({ destroyOnReturn: false }) as AsyncIterator<Buffer>;
    try {
      this.#beginReceiving();
      let receivedBytes = 0;
      for (;;) {
        const { done, value } = await Promise.race([slices.next(), late.promise]);
        if (done) return;
        receivedBytes += value.length;
        const bytesMax = isUnary ? this.#values.get(bodyBytesMaxKey) : streamBodyBytesMax;
        if (receivedBytes > bytesMax) {
          throw rejected(`its body has more than ${bytesMax} bytes`, Code.ResourceExhausted);
        }
        this.#receive(value.length);
        yield value;
      }
    } finally {
      timer.cancel();
      this.#endReceiving();
    }
  }

  async #answer({ status, header, body, trailer }: UniversalServerResponse): Promise<void> {
    const { clock, limits, stats } = this.#shared;
    const stream = this.#stream;
    const slices = body?.[Symbol.asyncIterator]();
    const timer = clock.timer(limits.answerTimeoutMs, () => {
      stats.answerLate += 1;
      stream.close(constants.NGHTTP2_CANCEL);
    });
    try {
      let next = await slices?.next();
      if (stream.closed || stream.destroyed) return;
      stream.respond(
        { ":status": status, ...Object.fromEntries(header ?? []) },
        { waitForTrailers: trailer !== undefined },
      );
      if (trailer) stream.once("wantTrailers", () => this.#sendTrailers(trailer));
      for (; next && !next.done; next = await slices?.next()) {
        if (!this.#beginAnswering(next.value.length))
          return stream.close(constants.NGHTTP2_ENHANCE_YOUR_CALM);
        if (!stream.write(next.value)) await this.#drained();
        if (stream.closed || stream.destroyed) return;
        timer.refresh();
      }
      stream.end();
      await Promise.race([this.#finished(), this.#closed.promise]);
      if (!stream.closed) closeSoon(stream, clock);
    } finally {
      timer.cancel();
      slices?.return?.().catch(() => undefined);
    }
  }

  #sendTrailers(trailer: Headers): void {
    try {
      this.#stream.sendTrailers(Object.fromEntries(trailer));
    } catch {
      // The stream has closed meanwhile.
      this.#stream.destroy();
    }
  }

  #drained(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#stream.once("drain", resolve);
    return Promise.race([promise, this.#closed.promise]);
  }

  #finished(): Promise<void> {
    if (this.#stream.writableFinished) return Promise.resolve();
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#stream.once("finish", resolve);
    return promise;
  }

  #beginReceiving(): void {
    const { limits, stats } = this.#shared;
    if (this.#shared.bodies >= limits.bodiesMax) {
      stats.overBudget += 1;
      throw rejected(`${limits.bodiesMax} bodies are being received`, Code.ResourceExhausted);
    }
    this.#isReceiving = true;
    this.#shared.bodies += 1;
  }

  #receive(lengthBytes: number): void {
    const { limits, stats } = this.#shared;
    const costBytes = lengthBytes + sliceOverheadBytes;
    this.#receivingBytes += costBytes;
    this.#shared.bodyBytes += costBytes;
    this.#caller.receivingBytes += costBytes;
    this.#caller.sentBytes += lengthBytes;
    if (
      this.#shared.bodyBytes > limits.bodyBytesMax ||
      this.#caller.receivingBytes > limits.bodyBytesPerSessionMax
    ) {
      stats.overBudget += 1;
      throw rejected("too many bytes of other calls are being received", Code.ResourceExhausted);
    }
  }

  #endReceiving(): void {
    if (!this.#isReceiving) return;
    this.#isReceiving = false;
    this.#shared.bodies -= 1;
    this.#shared.bodyBytes -= this.#receivingBytes;
    this.#caller.receivingBytes -= this.#receivingBytes;
    this.#receivingBytes = 0;
  }

  /** False if the caller, or all callers together, leave too many answers untaken. */
  #beginAnswering(lengthBytes: number): boolean {
    const { limits, stats } = this.#shared;
    this.#answeringBytes += lengthBytes;
    this.#shared.answerBytes += lengthBytes;
    this.#caller.answeringBytes += lengthBytes;
    const fits =
      this.#shared.answerBytes <= limits.answerBytesMax &&
      this.#caller.answeringBytes <= limits.answerBytesPerSessionMax;
    if (!fits) stats.overBudget += 1;
    return fits;
  }

  #endAnswering(): void {
    this.#shared.answerBytes -= this.#answeringBytes;
    this.#caller.answeringBytes -= this.#answeringBytes;
    this.#answeringBytes = 0;
  }
}

/** Closes a stream whose answer is complete. A caller that does not end its body would keep it. */
function closeSoon(stream: ServerHttp2Stream, clock: Clock): void {
  const timer = clock.timer(closeDelayMs, () => stream.close(constants.NGHTTP2_NO_ERROR));
  stream.once("close", () => timer.cancel());
  stream.resume();
}

/** Without the length of the body. Connect would reserve memory for it before a byte has arrived. */
function webHeadersOf(headers: IncomingHttpHeaders): Headers {
  const web = new Headers();
  for (const [name, value] of Object.entries(headers)) {
    if (name.startsWith(":") || name === "content-length" || value === undefined) continue;
    if (typeof value === "string") web.append(name, value);
    else for (const each of value) web.append(name, each);
  }
  return web;
}

function rejected(reason: string, code: Code): ConnectError {
  return new ConnectError(`Cannot accept a call: ${reason}`, code);
}
