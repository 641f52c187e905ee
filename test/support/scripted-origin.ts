/**
 * An origin whose every byte is let through by the test: reads are recorded as they come and stand still until they
 * are told to deliver, fail or finish, so an interleaving is written down instead of waited for.
 */
import type { ByteSink } from "../../src/base/byte-sink.ts";
import type {
  ListedBucket,
  ListPage,
  ObjectHead,
  ObjectLocation,
  OpeningReceiver,
  OpenOutcome,
  OpenRequest,
  Origin,
  RangeRequest,
} from "../../src/origin/origin.ts";
import { fillPattern } from "./pattern.ts";

/** The next bytes of an object into `sink`, in the pieces that it has room for, until `isOver`. Returns how many. */
function handOver(
  sink: ByteSink,
  seed: number,
  offset: number,
  lengthBytes: number,
  isOver: () => boolean,
): number {
  let handedBytes = 0;
  while (handedBytes < lengthBytes && !isOver()) {
    const space = sink.space().subarray(0, lengthBytes - handedBytes);
    fillPattern(space, seed, offset + handedBytes);
    handedBytes += space.length;
    sink.advance(space.length);
  }
  return handedBytes;
}

export class ScriptedRead {
  readonly request: RangeRequest;
  readonly signal: AbortSignal;
  readonly settled: Promise<void>;
  deliveredBytes = 0;
  readonly #sink: ByteSink;
  readonly #seed: number;
  readonly #finish = Promise.withResolvers<void>();

  constructor(request: RangeRequest, sink: ByteSink, signal: AbortSignal, seed: number) {
    this.request = request;
    this.signal = signal;
    this.#sink = sink;
    this.#seed = seed;
    this.settled = this.#finish.promise;
    signal.addEventListener("abort", () => this.#finish.reject(signal.reason), { once: true });
  }

  /** Offset in the object, and length. */
  get range(): [offset: number, lengthBytes: number] {
    return [this.request.offset, this.request.lengthBytes];
  }

  get owedBytes(): number {
    return this.request.lengthBytes - this.deliveredBytes;
  }

  /** Hands over the next `lengthBytes`, all that are owed by default. */
  deliver(lengthBytes = this.owedBytes): this {
    const offset = this.request.offset + this.deliveredBytes;
    // An origin sends nothing more after its reader has hung up.
    const isOver = (): boolean => this.signal.aborted;
    this.deliveredBytes += handOver(this.#sink, this.#seed, offset, lengthBytes, isOver);
    return this;
  }

  finish(): void {
    this.#finish.resolve();
  }

  fail(error: Error): void {
    this.#finish.reject(error);
  }
}

/** An opening that waits for its answer. */
export class ScriptedOpening {
  readonly request: OpenRequest;
  readonly signal: AbortSignal;
  readonly settled: Promise<OpenOutcome>;
  /** Undefined before {@link answer}, null where the bytes are not wanted. */
  body: ByteSink | null | undefined;
  readonly #receive: OpeningReceiver;
  readonly #finish = Promise.withResolvers<OpenOutcome>();
  readonly #seed: number;
  #deliveredBytes = 0;
  #offset: number;

  constructor(request: OpenRequest, receive: OpeningReceiver, signal: AbortSignal, seed: number) {
    this.request = request;
    this.signal = signal;
    this.#receive = receive;
    this.#seed = seed;
    this.#offset = request.offset;
    this.settled = this.#finish.promise;
    signal.addEventListener("abort", () => this.#finish.reject(signal.reason), { once: true });
  }

  /** The response head of an object of this size. */
  answer(head: ObjectHead): this {
    const { lastBytes } = this.request;
    if (lastBytes !== undefined) this.#offset = Math.max(0, head.sizeBytes - this.request.lengthBytes);
    const lengthBytes = Math.min(this.request.lengthBytes, head.sizeBytes - this.#offset);
    this.body = this.#receive({ head, offset: this.#offset, lengthBytes });
    return this;
  }

  deliver(lengthBytes: number): this {
    const offset = this.#offset + this.#deliveredBytes;
    const isOver = (): boolean => this.signal.aborted;
    this.#deliveredBytes += handOver(this.body as ByteSink, this.#seed, offset, lengthBytes, isOver);
    return this;
  }

  finish(outcome: OpenOutcome = "opened"): void {
    this.#finish.resolve(outcome);
  }

  fail(error: Error): void {
    this.#finish.reject(error);
  }
}

export class ScriptedOrigin implements Origin {
  readonly id: string;
  readonly reads: ScriptedRead[] = [];
  readonly openings: ScriptedOpening[] = [];
  readonly heads: ObjectLocation[] = [];
  /** Answers every HEAD; replaced by tests. */
  onHead: (location: ObjectLocation) => Promise<ObjectHead | null> = async () => null;
  opensAtEnd = true;
  /** Called with each read as it comes; `deliver` and `finish` at once by setting {@link auto}. */
  auto = false;
  seed = 1;
  /** The seed of an object's content; {@link seed} for all of them by default. */
  seedOf: (request: RangeRequest) => number = () => this.seed;

  constructor(id = "origin-a") {
    this.id = id;
  }

  async head(location: ObjectLocation): Promise<ObjectHead | null> {
    this.heads.push(location);
    return this.onHead(location);
  }

  read(request: RangeRequest, sink: ByteSink, signal: AbortSignal): Promise<void> {
    const read = new ScriptedRead(request, sink, signal, this.seedOf(request));
    this.reads.push(read);
    if (this.auto) read.deliver().finish();
    return read.settled;
  }

  open(request: OpenRequest, receive: OpeningReceiver, signal: AbortSignal): Promise<OpenOutcome> {
    const opening = new ScriptedOpening(request, receive, signal, this.seed);
    this.openings.push(opening);
    return opening.settled;
  }

  async list(): Promise<ListPage> {
    return { objects: [], commonPrefixes: [], nextContinuationToken: "" };
  }

  async look(): Promise<void> {}

  async listBuckets(): Promise<readonly ListedBucket[]> {
    return [];
  }

  close(): void {}
}
