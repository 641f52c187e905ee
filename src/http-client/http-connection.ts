/**
 * One connection to a server and the one exchange that may run on it. The socket reads with `onread`: before every
 * read it asks where the bytes should go, so the kernel writes a body straight into the sink's memory, at about a third
 * of the processor time of `data` events. The only bytes copied are those of a body that came in the same read as its head.
 *
 * Invariants:
 * 1. The sink is known here from the moment its head was accepted until the exchange settles, and at no other time.
 * 2. An exchange that holds a sink and fails settles on the socket's `close`, not before: until then a read that was
 *    given the sink's memory may still be written. (With TLS: 1. `onread` answers with the sink's memory for the next
 *    read, 2. a microtask aborts, 3. OpenSSL's remaining plain text is copied to where 1 said, 4. the handle closes.)
 *    The same goes for one whose own body the kernel has not all taken: what is lent would otherwise be sent later,
 *    with other bytes in it.
 * 3. A connection goes back to the pool only when exactly the bytes of its last response have been read.
 */
import { connect as connectTcp, isIP, type Socket } from "node:net";
import { type ConnectionOptions, connect as connectTls } from "node:tls";
import { assert } from "../base/assert.ts";
import type { ByteSink } from "../base/byte-sink.ts";
import type { Clock, Timer } from "../base/clock.ts";
import { OrcaError } from "../base/orca-error.ts";
import { KiB } from "../base/units.ts";
import { HeadReader } from "./head-reader.ts";
import type { RemoteFaults } from "./remote-faults.ts";
import { bodyLength, isPersistent, MalformedHead, type ResponseHead } from "./response-head.ts";
import { Upload } from "./upload.ts";

const scratchSizeBytes = 16 * KiB;
/** A body nobody wants is read to its end up to this size, because that is cheaper than a new connection. */
const drainSizeBytesMax = 64 * KiB;

export interface HttpRequest {
  readonly method: "GET" | "HEAD" | "PUT" | "DELETE";
  /** The request target, percent-encoded; sent as it is, never normalised. */
  readonly path: string;
  /** Without `Connection` and `Content-Length`; `host` is the caller's to give, because some sign it. */
  readonly headers: Readonly<Record<string, string>>;
  /** At least one slice. Sent one by one, under their common Content-Length. Lent until the exchange settles. */
  readonly body?: readonly Uint8Array[] | undefined;
}

/** Judges a head: answers where its body shall go, or null where the body is not wanted; what it throws ends the exchange. */
export type HeadReceiver = (head: ResponseHead) => ByteSink | null;

export interface HttpTimeouts {
  /** Until the connection stands, TLS included. */
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
  /** How long the connection may lie unused. */
  readonly idleTimeoutMs: number;
  readonly tls?: ConnectionOptions | undefined;
  /** It can take another exchange. */
  readonly onIdle: (connection: HttpConnection) => void;
  /** It is gone. */
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

/** `connect`: its first exchange waits for it. `drain`: the exchange has settled, its unwanted body has not all come. */
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
  /** The answer to a request whose body was not wanted to its end; handed out once the socket has closed. */
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
   * Whether the last exchange failed because the server had dropped the connection, before any byte of an answer: then
   * the request may be sent again on another one. A deadline is not that: the server had its time.
   */
  get stale(): boolean {
    return this.#phase === "closed" && !this.#answered && !this.#timedOut;
  }

  /**
   * One request and its response; settles when the body is in the sink, or with the head where the body is not
   * wanted. Only on a connection that is new or was handed to `onIdle`.
   * @throws OrcaError of `faults`, unavailable or unsupported; what `onHead` threw; the signal's reason.
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
    this.#fail(this.#unavailable("the connection was closed here"));
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
    // In one packet with the first slice, where that is short.
    this.#socket.cork();
    this.#socket.write(`${text}content-length: ${lengthBytes}\r\n\r\n`, "latin1");
    upload.start();
    this.#socket.uncork();
  }

  #awaitHead(): void {
    const { attemptTimeoutMs } = this.#options;
    this.#arm(attemptTimeoutMs, `no response head within ${attemptTimeoutMs} ms`);
  }

  get #isUploading(): boolean {
    return this.#upload?.done === false;
  }

  /** Where the next read goes. Called by the socket after each read, for the one that follows. */
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
    } else if (this.#phase === "head") {
      this.#answered = true;
      const head = this.#headReader.advance(lengthBytes);
      if (head instanceof MalformedHead) this.#fail(this.#unavailable(head.reason));
      else if (head) this.#judge(head, this.#headReader.rest);
    } else if (this.#phase === "drain") {
      this.#drain(lengthBytes);
    } else {
      this.#fail(this.#unavailable("bytes came that nobody had asked for"));
    }
    return true;
  }

  /** The head is whole; `rest` came with it and lies behind it in the same buffer. */
  #judge(head: ResponseHead, rest: Buffer): void {
    const { request, onHead } = this.#exchange as Exchange;
    this.#response = head;
    this.#persistent = isPersistent(head) && !this.#isUploading;
    this.#upload?.halt();
    const bodyBytes = bodyLength(request.method, head);
    let sink: ByteSink | null;
    try {
      if (head.status < 300 && this.#isUploading)
        throw this.#unavailable("a body was accepted before it was sent");
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

  /** The one copy of this class: these bytes came with the head, before anybody knew where they should go. */
  #copyRest(sink: ByteSink, rest: Buffer): void {
    if (this.#owedBytes === 0) return this.#complete(rest.length);
    let copied = 0;
    while (copied < rest.length && this.#phase === "body" && this.#sink === sink) {
      const taken = rest.copy(this.#space(), 0, copied);
      copied += taken;
      this.#take(sink, taken, rest.length - copied);
    }
  }

  /** The next `lengthBytes` are in the sink; `surplusBytes` more are known to have come behind them. */
  #take(sink: ByteSink, lengthBytes: number, surplusBytes = 0): void {
    this.#owedBytes -= lengthBytes;
    sink.advance(lengthBytes);
    // advance() may have aborted the exchange.
    if (this.#phase !== "body") return;
    if (this.#owedBytes === 0) this.#complete(surplusBytes);
    else this.#timer?.refresh();
  }

  #complete(surplusBytes: number): void {
    if (this.#isUploading) return this.#answerOnClose(this.#response as ResponseHead);
    this.#resolve(this.#response as ResponseHead);
    if (surplusBytes > 0) this.#fail(this.#unavailable("bytes came behind the body"));
    else this.#rest();
  }

  /** The server has said all it wanted to say and not taken all of the request. */
  #answerOnClose(head: ResponseHead): void {
    this.#earlyAnswer = head;
    this.destroy();
  }

  /** Gets an unwanted body out of the way; `receivedBytes` of it are here. */
  #discard(bodyBytes: number | undefined, receivedBytes: number): void {
    if (!this.#persistent || bodyBytes === undefined || bodyBytes > drainSizeBytesMax) return this.destroy();
    this.#phase = "drain";
    this.#owedBytes = bodyBytes;
    // Not refreshed: a body this small either comes within one stall or is not worth the wait.
    this.#arm(this.#options.stallTimeoutMs, "an unwanted body did not end");
    this.#drain(receivedBytes);
  }

  #drain(lengthBytes: number): void {
    this.#owedBytes -= lengthBytes;
    if (this.#owedBytes < 0) this.destroy();
    else if (this.#owedBytes === 0) this.#rest();
  }

  /** Back to the pool, unless the server wants to close. */
  #rest(): void {
    if (!this.#persistent && this.#response) return this.destroy();
    this.#phase = "idle";
    this.#headReader.reset();
    const { idleTimeoutMs } = this.#options;
    this.#arm(idleTimeoutMs, `unused for ${idleTimeoutMs} ms`);
    this.#options.onIdle(this);
  }

  #resolve(head: ResponseHead): void {
    this.#detach()?.resolve(head);
  }

  /** No sink is attached yet, so nothing has to be waited for. */
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

  /** Ends the connection; the exchange, if one runs, is rejected with `reason` once the socket is closed. */
  #fail(reason: unknown): void {
    if (this.#phase === "closed") return;
    this.#phase = "closed";
    this.#failure = reason;
    this.#sink = undefined;
    this.#timer?.cancel();
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
      return `the server closed the connection with ${this.#owedBytes} bytes of the body owed`;
    return "the server closed the connection before it had answered";
  }

  #unsupportedFraming(head: ResponseHead): OrcaError {
    const framing = head.headers.has("transfer-encoding")
      ? `Transfer-Encoding "${head.headers.get("transfer-encoding")}"`
      : "no Content-Length";
    const message = `${this.#action()}: the response has ${framing}, and only bodies with a Content-Length are read`;
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
