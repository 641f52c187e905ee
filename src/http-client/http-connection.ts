/**
 * One connection to a server, and the one exchange that may run on it. The socket reads with `onread`: before every read it
 * asks for a buffer, so the kernel writes a body straight into the sink's memory. That takes about a third of the
 * processor time of `data` events. Only bytes of a body that arrive in the same read as its head are copied.
 *
 * Invariants:
 * 1. #sink is set from the acceptance of a head until its exchange settles, and at no other time.
 * 2. A failed exchange with a sink settles on the socket's `close` and not before, because until then a read may still
 *    write into the sink's memory. With TLS: (1) `onread` returns the sink's memory for the next read; (2) a microtask
 *    aborts; (3) OpenSSL's remaining plain text is copied to the memory of (1); (4) the handle closes. The same holds for
 *    an exchange whose own body the kernel has not taken completely: its memory could hold other bytes by the time the
 *    kernel reads it.
 * 3. A connection returns to the pool only when exactly the bytes of its last response have been read.
 */
import { connect as connectTcp, isIP, type Socket } from "node:net";
import { type ConnectionOptions, connect as connectTls } from "node:tls";
import { assert } from "../base/assert.ts";
import type { ByteSink } from "../base/byte-sink.ts";
import type { Clock, Timer } from "../base/clock.ts";
import { OrcaError } from "../base/orca-error.ts";
import { KiB } from "../base/units.ts";
import { HeadReader } from "./head-reader.ts";
import type { ReadTurns } from "./read-turns.ts";
import type { RemoteFaults } from "./remote-faults.ts";
import { bodyLength, isPersistent, MalformedHead, type ResponseHead } from "./response-head.ts";
import { Upload } from "./upload.ts";

const scratchSizeBytes = 16 * KiB;
/** An unwanted body up to this size is read to its end, because that is cheaper than a new connection. */
const drainSizeBytesMax = 64 * KiB;

export interface HttpRequest {
  readonly method: "GET" | "HEAD" | "PUT" | "DELETE";
  /** The request target, percent-encoded. It is sent as it is and never normalised. */
  readonly path: string;
  /** Without `Connection` and `Content-Length`. The caller adds `host`, because some callers sign it. */
  readonly headers: Readonly<Record<string, string>>;
  /** At least one slice, sent one by one. The slices are in use until the exchange settles. */
  readonly body?: readonly Uint8Array[] | undefined;
}

/** Called with the response head. Returns the sink for the body, or null for no body. What it throws ends the exchange. */
export type HeadReceiver = (head: ResponseHead) => ByteSink | null;

export interface HttpTimeouts {
  /** Until the connection is established, including TLS. */
  readonly connectTimeoutMs: number;
  /** From the end of the request to the end of the response head. */
  readonly attemptTimeoutMs: number;
  /** Between two reads or two writes of a body. */
  readonly stallTimeoutMs: number;
}

export interface HttpConnectionOptions extends HttpTimeouts {
  readonly protocol: "http:" | "https:";
  readonly host: string;
  readonly port: number;
  readonly faults: RemoteFaults;
  readonly clock: Clock;
  /** How long the connection may be idle. */
  readonly idleTimeoutMs: number;
  readonly tls?: ConnectionOptions | undefined;
  readonly turns: ReadTurns;
  /** The connection can run another exchange. */
  readonly onIdle: (connection: HttpConnection) => void;
  /** The connection has ended. */
  readonly onClosed: (connection: HttpConnection) => void;
}

interface Exchange {
  readonly request: HttpRequest;
  readonly onHead: HeadReceiver;
  readonly signal: AbortSignal;
  readonly onAbort: () => void;
  readonly resolve: (head: ResponseHead) => void;
  readonly reject: (reason: unknown) => void;
}

/** `connect`: the first exchange waits. `drain`: the exchange has settled, and its unwanted body is still arriving. */
type Phase = "connect" | "idle" | "head" | "body" | "drain" | "closed";

export class HttpConnection {
  readonly #options: HttpConnectionOptions;
  readonly #socket: Socket;
  readonly #scratch = Buffer.allocUnsafeSlow(scratchSizeBytes);
  readonly #headReader = new HeadReader(this.#scratch);
  #phase: Phase = "connect";
  #exchange: Exchange | undefined;
  #timer: Timer | undefined;
  #failure: unknown;
  #answered = false;
  #timedOut = false;
  #response: ResponseHead | undefined;
  #upload: Upload | undefined;
  /** The answer to a request whose body was not sent completely. The exchange resolves with it on `close`. */
  #earlyAnswer: ResponseHead | undefined;
  #sink: ByteSink | undefined;
  #owedBytes = 0;
  #persistent = false;

  constructor(options: HttpConnectionOptions) {
    this.#options = options;
    this.#socket = this.#open();
    this.#socket.once(options.protocol === "https:" ? "secureConnect" : "connect", () => this.#connected());
    this.#socket.on("error", (error) => this.#fail(this.#unavailable(error.message, error)));
    this.#socket.on("end", () => this.#fail(this.#unavailable(this.#describeEnd())));
    this.#socket.once("close", () => this.#closed());
    this.#arm(options.connectTimeoutMs, `no connection within ${options.connectTimeoutMs} ms`);
  }

  /**
   * Whether the last exchange failed because the server had closed the connection, before any byte of an answer. The
   * request may then be sent again on another connection. A missed deadline does not count, because the server had its
   * time.
   */
  get stale(): boolean {
    return this.#phase === "closed" && !this.#answered && !this.#timedOut;
  }

  /**
   * Sends one request and reads its response. Settles when the body is in the sink, or with the head where `onHead`
   * wants no body. Only for a connection that is new or was passed to `onIdle`.
   * @throws OrcaError of `faults`, unavailable or unsupported; what `onHead` throws; the reason of `signal`.
   */
  exchange(request: HttpRequest, onHead: HeadReceiver, signal: AbortSignal): Promise<ResponseHead> {
    assert(
      this.#exchange === undefined && (this.#phase === "connect" || this.#phase === "idle"),
      "one exchange at a time",
    );
    const { promise, resolve, reject } = Promise.withResolvers<ResponseHead>();
    const onAbort = (): void => this.#fail(signal.reason);
    this.#exchange = { request, onHead, signal, onAbort, resolve, reject };
    this.#answered = false;
    signal.addEventListener("abort", onAbort, { once: true });
    if (this.#phase === "idle") this.#send(this.#exchange);
    return promise;
  }

  destroy(): void {
    this.#fail(this.#unavailable("the connection was closed by Orca"));
  }

  #open(): Socket {
    const { protocol, host, port, tls } = this.#options;
    const onread = {
      buffer: () => this.#space(),
      callback: (lengthBytes: number) => this.#received(lengthBytes),
    };
    if (protocol === "http:") return connectTcp({ host, port, noDelay: true, onread });
    const servername = isIP(host) === 0 ? { servername: host } : {};
    const options = { ALPNProtocols: ["http/1.1"], ...servername, ...tls, host, port, noDelay: true, onread };
    return connectTls(options);
  }

  #connected(): void {
    if (this.#exchange && this.#phase === "connect") this.#send(this.#exchange);
  }

  #send(exchange: Exchange): void {
    const { method, path, headers, body } = exchange.request;
    let text = `${method} ${path} HTTP/1.1\r\n`;
    for (const name in headers) text += `${name}: ${headers[name]}\r\n`;
    this.#phase = "head";
    this.#response = undefined;
    this.#upload = undefined;
    if (body) return this.#sendWithBody(text, body);
    this.#awaitHead();
    this.#socket.write(`${text}\r\n`, "latin1");
  }

  #sendWithBody(text: string, body: readonly Uint8Array[]): void {
    const lengthBytes = body.reduce((sum, slice) => sum + slice.length, 0);
    const { stallTimeoutMs } = this.#options;
    this.#arm(stallTimeoutMs, `no byte of the request taken within ${stallTimeoutMs} ms`);
    const upload = new Upload(this.#socket, body, () => {
      if (this.#phase !== "head") return;
      if (upload.done) this.#awaitHead();
      else this.#timer?.refresh();
    });
    this.#upload = upload;
    // The head goes into one packet with a short first slice.
    this.#socket.cork();
    this.#socket.write(`${text}content-length: ${lengthBytes}\r\n\r\n`, "latin1");
    upload.start();
    this.#socket.uncork();
  }

  #awaitHead(): void {
    const { attemptTimeoutMs } = this.#options;
    this.#arm(attemptTimeoutMs, `no response head within ${attemptTimeoutMs} ms`);
  }

  /** #take may have changed it. */
  get #isBody(): boolean {
    return this.#phase === "body";
  }

  get #isUploading(): boolean {
    return this.#upload?.done === false;
  }

  /** The buffer of the next read. The socket asks for it after each read. */
  #space(): Buffer {
    if (this.#phase === "body") {
      const space = (this.#sink as ByteSink).space();
      return space.length <= this.#owedBytes ? space : space.subarray(0, this.#owedBytes);
    }
    if (this.#phase === "head") return this.#headReader.space();
    return this.#scratch;
  }

  #received(lengthBytes: number): boolean {
    if (this.#phase === "body") {
      this.#take(this.#sink as ByteSink, lengthBytes);
      // A body that has ended leaves nothing to read.
      if (this.#isBody) return this.#options.turns.read(this.#socket, lengthBytes);
    } else if (this.#phase === "head") {
      this.#answered = true;
      const head = this.#headReader.advance(lengthBytes);
      if (head instanceof MalformedHead) this.#fail(this.#unavailable(head.reason));
      else if (head) this.#headArrived(head, this.#headReader.rest);
    } else if (this.#phase === "drain") {
      this.#drain(lengthBytes);
    } else {
      this.#fail(this.#unavailable("bytes arrived without a request"));
    }
    return true;
  }

  /** Acts on a complete head. `rest` are the bytes that follow it in the same buffer. */
  #headArrived(head: ResponseHead, rest: Buffer): void {
    const { request, onHead } = this.#exchange as Exchange;
    this.#response = head;
    this.#persistent = isPersistent(head) && !this.#isUploading;
    this.#upload?.halt();
    const bodyBytes = bodyLength(request.method, head);
    let sink: ByteSink | null;
    try {
      if (head.status < 300 && this.#isUploading)
        throw this.#unavailable("the server accepted the body before all of it was sent");
      if (head.status < 300 && bodyBytes === undefined) throw this.#unsupportedFraming(head);
      sink = onHead(head);
    } catch (thrown) {
      if (this.#isUploading) return this.#fail(thrown);
      this.#rejectBeforeBody(thrown);
      this.#discard(bodyBytes, rest.length);
      return;
    }
    if (!sink && this.#isUploading) return this.#answerOnClose(head);
    if (!sink) {
      this.#resolve(head);
      this.#discard(bodyBytes, rest.length);
      return;
    }
    assert(bodyBytes !== undefined, "a sink is given for a body of known length");
    this.#sink = sink;
    this.#owedBytes = bodyBytes;
    this.#phase = "body";
    const { stallTimeoutMs } = this.#options;
    this.#arm(stallTimeoutMs, `no byte of the body within ${stallTimeoutMs} ms`);
    this.#copyRest(sink, rest);
  }

  /** The only copy in this class: these bytes arrived with the head, before there was a sink. */
  #copyRest(sink: ByteSink, rest: Buffer): void {
    if (this.#owedBytes === 0) return this.#complete(rest.length);
    let copied = 0;
    while (copied < rest.length && this.#phase === "body" && this.#sink === sink) {
      const taken = rest.copy(this.#space(), 0, copied);
      copied += taken;
      this.#take(sink, taken, rest.length - copied);
    }
  }

  /** The next `lengthBytes` are in the sink, and `surplusBytes` more have arrived after them. */
  #take(sink: ByteSink, lengthBytes: number, surplusBytes = 0): void {
    this.#owedBytes -= lengthBytes;
    sink.advance(lengthBytes);
    // The exchange may have been aborted by advance().
    if (this.#phase !== "body") return;
    if (this.#owedBytes === 0) this.#complete(surplusBytes);
    else this.#timer?.refresh();
  }

  #complete(surplusBytes: number): void {
    if (this.#isUploading) return this.#answerOnClose(this.#response as ResponseHead);
    this.#resolve(this.#response as ResponseHead);
    if (surplusBytes > 0) this.#fail(this.#unavailable("bytes arrived after the body"));
    else this.#rest();
  }

  /** The server has answered without taking the whole request. */
  #answerOnClose(head: ResponseHead): void {
    this.#earlyAnswer = head;
    this.destroy();
  }

  /** Reads an unwanted body to its end, or closes the connection. `receivedBytes` of the body have arrived. */
  #discard(bodyBytes: number | undefined, receivedBytes: number): void {
    if (!this.#persistent || bodyBytes === undefined || bodyBytes > drainSizeBytesMax) return this.destroy();
    this.#phase = "drain";
    this.#owedBytes = bodyBytes;
    // Not refreshed: a body this small arrives within one stall timeout, or is not worth a wait.
    this.#arm(this.#options.stallTimeoutMs, "an unwanted body did not end");
    this.#drain(receivedBytes);
  }

  #drain(lengthBytes: number): void {
    this.#owedBytes -= lengthBytes;
    if (this.#owedBytes < 0) this.destroy();
    else if (this.#owedBytes === 0) this.#rest();
  }

  /** Returns the connection to the pool, unless the server wants to close it. */
  #rest(): void {
    if (!this.#persistent && this.#response) return this.destroy();
    this.#phase = "idle";
    this.#headReader.reset();
    const { idleTimeoutMs } = this.#options;
    this.#arm(idleTimeoutMs, `idle for ${idleTimeoutMs} ms`);
    this.#options.onIdle(this);
  }

  #resolve(head: ResponseHead): void {
    this.#detach()?.resolve(head);
  }

  /** Rejects at once, because there is no sink yet. */
  #rejectBeforeBody(reason: unknown): void {
    assert(this.#sink === undefined, "an exchange with a sink is rejected on close");
    this.#detach()?.reject(reason);
  }

  #detach(): Exchange | undefined {
    const exchange = this.#exchange;
    exchange?.signal.removeEventListener("abort", exchange.onAbort);
    this.#exchange = undefined;
    this.#sink = undefined;
    return exchange;
  }

  /** Ends the connection. A running exchange is rejected with `reason` when the socket has closed. */
  #fail(reason: unknown): void {
    if (this.#phase === "closed") return;
    this.#phase = "closed";
    this.#failure = reason;
    this.#sink = undefined;
    this.#timer?.cancel();
    this.#options.turns.leave(this.#socket);
    this.#socket.destroy();
    this.#options.onClosed(this);
  }

  #closed(): void {
    this.#fail(this.#unavailable(this.#describeEnd()));
    if (this.#earlyAnswer) this.#resolve(this.#earlyAnswer);
    else this.#detach()?.reject(this.#failure);
  }

  #arm(delayMs: number, reason: string): void {
    this.#timer?.cancel();
    this.#timer = this.#options.clock.timer(delayMs, () => {
      this.#timedOut = true;
      this.#fail(this.#unavailable(reason));
    });
  }

  #describeEnd(): string {
    if (this.#phase === "body")
      return `the server closed the connection with ${this.#owedBytes} bytes of the body missing`;
    return "the server closed the connection before its answer";
  }

  #unsupportedFraming(head: ResponseHead): OrcaError {
    const framing = head.headers.has("transfer-encoding")
      ? `Transfer-Encoding "${head.headers.get("transfer-encoding")}"`
      : "no Content-Length";
    const message = `${this.#action()}: the response has ${framing}, and Orca reads only bodies with a Content-Length`;
    const { source, unsupported } = this.#options.faults;
    return new OrcaError(unsupported, source, message);
  }

  #unavailable(reason: string, cause?: unknown): OrcaError {
    const { source, unavailable } = this.#options.faults;
    return new OrcaError(unavailable, source, `${this.#action()}: ${reason}`, { cause });
  }

  #action(): string {
    const { protocol, host, port } = this.#options;
    const request = this.#exchange?.request;
    return `Cannot ${request?.method ?? "use"} ${protocol}//${host}:${port}${request?.path ?? ""}`;
  }
}
