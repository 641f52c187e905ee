/**
 * Guards an origin: every request holds a permit while it runs, a failed attempt is retried with backoff, and a body that
 * breaks off is resumed at the byte where it stopped. Drivers know nothing of this. Callers ask once and get everything or
 * one OrcaError.
 */
import { assert } from "../base/assert.ts";
import type { ByteSink } from "../base/byte-sink.ts";
import type { Clock } from "../base/clock.ts";
import { type ErrorCode, OrcaError } from "../base/orca-error.ts";
import type { Random } from "../base/random.ts";
import type { Permit } from "../base/semaphore.ts";
import { MiB } from "../base/units.ts";
import type { Asker, Trace } from "../trace/trace.ts";
import type { RetryPolicy } from "./backoff.ts";
import { type Entrant, eitherSignal, type Hedge } from "./hedging/hedge.ts";
import { HedgedSink } from "./hedging/hedged-sink.ts";
import { MinRate, type MinRateSettings } from "./min-rate.ts";
import { type BodyReceiver, type OpenAnswer, Openings } from "./opening/openings.ts";
import type {
  BucketPart,
  FirstBytes,
  ListedBucket,
  ListPage,
  ListRequest,
  ObjectLocation,
  ObjectPart,
  OpenRequest,
  Origin,
  OriginHead,
  OriginKey,
  PartRequest,
  RangeRequest,
  Right,
  RightQuestion,
  SubResourceAnswer,
  SubResourceQuestion,
} from "./origin.ts";
import { OriginTrace } from "./origin-trace.ts";
import { type Attempts, newAttempts, Retries } from "./retrying/retries.ts";
import { PacedPermits } from "./throttling/paced-permits.ts";
import type { Throttle } from "./throttling/throttle.ts";

/**
 * A body that delivered this much before it broke shows a working origin: the count of attempts starts again. The bytes
 * must have come at the minimum rate, so that an origin that drips is asked as often as `retry` says and no more.
 */
const progressBytesMin = MiB;

export type OriginOperation = "get" | "head" | "list" | "sub_resource";

export interface GuardedOriginOptions {
  readonly origin: Origin;
  readonly clock: Clock;
  readonly random: Random;
  /** Requests in flight to this origin at once, bodies included. */
  readonly requestsInFlightMax: number;
  /** How long a request waits for its permit before the client gets 503 SlowDown. */
  readonly queueTimeoutMs: number;
  readonly retry: RetryPolicy;
  /** A body below it is given up and resumed. */
  readonly minRate: MinRateSettings;
  /** Cuts the requests in flight while the origin throttles. */
  readonly throttle?: Throttle | undefined;
  /** Undefined where no request is sent a second time before it has failed. */
  readonly hedge?: Hedge | undefined;
  readonly trace?: Trace | undefined;
}

export class GuardedOrigin {
  readonly id: string;
  readonly stats = {
    requests: { get: 0, head: 0, list: 0, sub_resource: 0 } as Record<OriginOperation, number>,
    errors: new Map<ErrorCode, number>(),
    bytes: 0,
    retries: 0,
    resumes: 0,
    openings: 0,
    openingsWasted: 0,
    /** Bodies given up because they were below the minimum rate. */
    slowBodies: 0,
  };
  readonly #origin: Origin;
  readonly #clock: Clock;
  readonly #permits: PacedPermits;
  readonly #retries: Retries;
  readonly #minRate: MinRateSettings;
  readonly throttle: Throttle | undefined;
  readonly hedge: Hedge | undefined;
  readonly #trace: Trace | undefined;
  readonly #openings: Openings;
  readonly #closing = new AbortController();

  constructor(options: GuardedOriginOptions) {
    this.id = options.origin.id;
    this.#origin = options.origin;
    this.#clock = options.clock;
    this.throttle = options.throttle;
    this.hedge = options.hedge;
    this.#permits = new PacedPermits({
      ...options,
      originId: this.id,
      share: options.requestsInFlightMax,
      throttle: options.throttle,
    });
    this.#retries = new Retries({ ...options, stats: this.stats });
    this.#minRate = options.minRate;
    this.#trace = options.trace;
    this.#openings = new Openings({
      ...options,
      closing: this.#closing.signal,
      stats: this.stats,
      tooSlow: (request, windowBytes) => this.#tooSlow(request, windowBytes),
    });
  }

  get requestsInFlight(): number {
    return this.#permits.inUse;
  }

  get requestsWaiting(): number {
    return this.#permits.waiting;
  }

  get requestsInFlightMax(): number {
    return this.#permits.permitsMax;
  }

  /** Sets this replica's share of the cluster's target. A smaller share takes effect as running requests end. */
  resize(requestsInFlightMax: number): void {
    this.#permits.resize(requestsInFlightMax);
  }

  /** `asker` is the request that asks first. @see Origin.head */
  head(location: ObjectLocation, asker?: Asker): Promise<OriginHead> {
    const steps = OriginTrace.ofHead(this.#trace, this.id, location, asker);
    const ask = (signal: AbortSignal): Promise<OriginHead> =>
      this.#origin.head(location, signal, asker?.requestId);
    return this.#repeated("head", ask, steps, asker?.waits);
  }

  /** Whether objects may have parts. */
  get hasParts(): boolean {
    return this.#origin.part !== undefined;
  }

  /** A HEAD. `asker` is the request that asks first. @see Origin.part */
  part(request: PartRequest, asker?: Asker): Promise<ObjectPart> {
    const steps = OriginTrace.ofHead(this.#trace, this.id, request, asker);
    const ask = (signal: AbortSignal): Promise<ObjectPart> => {
      assert(this.#origin.part !== undefined, "only origins with parts are asked for one");
      return this.#origin.part(request, signal, asker?.requestId);
    };
    return this.#repeated("head", ask, steps, asker?.waits);
  }

  /** Whether it can be asked for these bytes by {@link open}. */
  opens(bytes: FirstBytes): boolean {
    return this.#openings.arePossible(bytes);
  }

  /**
   * Asks for an object of which nothing is known. Resolves when its metadata is here; `receive` was called just before,
   * and gives the bytes a place, in which they may go on arriving.
   * @see Origin.open
   */
  open(request: OpenRequest, receive: BodyReceiver, asker?: Asker): Promise<OpenAnswer> {
    const steps = OriginTrace.ofHead(this.#trace, this.id, request, asker, "get");
    const attempts = newAttempts(asker?.waits);
    return this.#openings.open(request, receive, steps, {
      permitted: (ask, receivedBytes) => this.#attempt("get", ask, attempts, steps, receivedBytes),
      pause: (thrown) => this.#retries.pause(thrown, attempts, this.#closing.signal),
    });
  }

  /** @see Origin.list */
  list(request: ListRequest): Promise<ListPage> {
    const { bucket, prefix } = request;
    const what = `a page of the listing of ${bucket}/${prefix}`;
    const steps = OriginTrace.ofList(this.#trace, this.id, { bucket, prefix }, what);
    return this.#repeated("list", (signal) => this.#origin.list(request, signal), steps);
  }

  /** One attempt under a permit: the caller repeats it. @see Origin.look */
  look(part: BucketPart, signal: AbortSignal): Promise<void> {
    const stop = AbortSignal.any([signal, this.#closing.signal]);
    return this.#attempt("list", () => this.#origin.look(part, stop), newAttempts());
  }

  /** Like {@link look}, and repeated where it fails. */
  lookFor(part: BucketPart): Promise<void> {
    return this.#repeated("list", (signal) => this.#origin.look(part, signal));
  }

  /** @see Origin.listBuckets */
  listBuckets(as: OriginKey | undefined): Promise<readonly ListedBucket[]> {
    const steps = OriginTrace.ofList(this.#trace, this.id, {}, "the list of buckets");
    return this.#repeated("list", (signal) => this.#origin.listBuckets(as, signal), steps);
  }

  /** One attempt, for a look: the caller repeats it. */
  lookAtBuckets(signal: AbortSignal): Promise<void> {
    const stop = AbortSignal.any([signal, this.#closing.signal]);
    const ask = async (): Promise<void> => void (await this.#origin.listBuckets(undefined, stop));
    return this.#attempt("list", ask, newAttempts());
  }

  /** A HEAD or a LIST. @see Origin.rightOf */
  rightOf(question: RightQuestion): Promise<Right> {
    const { action } = question;
    return this.#repeated(action === "get" ? "head" : "list", (signal) => {
      assert(this.#origin.rightOf !== undefined, "only origins with keys of their own are asked for rights");
      return this.#origin.rightOf(question, signal);
    });
  }

  /** Whether it can be asked for sub-resources. */
  get hasSubResources(): boolean {
    return this.#origin.subResource !== undefined;
  }

  /** @see Origin.subResource */
  subResource(question: SubResourceQuestion): Promise<SubResourceAnswer> {
    return this.#repeated("sub_resource", (signal) => {
      assert(this.#origin.subResource !== undefined, "only S3 is asked for sub-resources");
      return this.#origin.subResource(question, signal);
    });
  }

  /**
   * Reads all of a range or throws an OrcaError. A new GET resumes a broken body at the byte where the last one stopped,
   * pinned to the same ETag, so the sink never receives a byte twice or a byte of another version.
   * @see Origin.read
   */
  async read(request: RangeRequest, sink: ByteSink, signal?: AbortSignal): Promise<void> {
    let receivedBytes = 0;
    const { trace } = request;
    const steps = OriginTrace.ofRead(trace);
    const attempts = newAttempts(trace, signal);
    const stop = signal ? AbortSignal.any([signal, this.#closing.signal]) : this.#closing.signal;
    for (;;) {
      const receivedBefore = receivedBytes;
      const rest: RangeRequest = {
        ...request,
        offset: request.offset + receivedBytes,
        lengthBytes: request.lengthBytes - receivedBytes,
      };
      const slow = new AbortController();
      const rate = new MinRate(this.#minRate, this.#clock, (windowBytes) =>
        slow.abort(this.#tooSlow(rest, windowBytes)),
      );
      const watched: ByteSink = {
        space: () => sink.space(),
        advance: (lengthBytes) => {
          receivedBytes += lengthBytes;
          this.stats.bytes += lengthBytes;
          rate.received(lengthBytes);
          sink.advance(lengthBytes);
        },
      };
      try {
        trace?.waitFor("permit");
        const ask = (entrant?: Entrant): Promise<void> => {
          trace?.asked();
          steps.attempt({ offset: rest.offset, lengthBytes: rest.lengthBytes }, entrant);
          const into = entrant ? new HedgedSink(watched, entrant) : watched;
          return this.#origin.read(rest, into, eitherSignal([stop, slow.signal], entrant));
        };
        await this.#attempt("get", ask, attempts, steps, () => receivedBytes - receivedBefore);
        return;
      } catch (thrown) {
        trace?.asked();
        // The last byte may have arrived before the fault. Then nothing is missing.
        if (receivedBytes === request.lengthBytes) return;
        const broughtBytes = receivedBytes - receivedBefore;
        // A body may take longer than the bound on all attempts: only the time without bytes counts.
        if (broughtBytes > 0) attempts.failingSinceMs = undefined;
        if (broughtBytes >= progressBytesMin && rate.isKept) attempts.count = 0;
        await this.#retries.pause(thrown, attempts, stop);
        if (receivedBytes > 0) this.stats.resumes += 1;
      } finally {
        rate.end();
      }
    }
  }

  /** Aborts running requests and closes idle connections. */
  close(): void {
    this.#closing.abort(
      new OrcaError("shutting_down", "origin", `Cannot ask origin "${this.id}": Orca is stopping`),
    );
    this.throttle?.close();
    this.#origin.close();
  }

  #tooSlow({ bucket, key }: ObjectLocation, windowBytes: number): OrcaError {
    const { bytesPerSecond, windowMs } = this.#minRate;
    this.stats.slowBodies += 1;
    const reason = `the body brought ${windowBytes} bytes in ${windowMs} ms, and origin.min_rate is ${bytesPerSecond} bytes a second`;
    return new OrcaError("origin_unavailable", "origin", `Cannot read "${bucket}/${key}": ${reason}`);
  }

  async #repeated<Answer>(
    operation: OriginOperation,
    ask: (signal: AbortSignal) => Promise<Answer>,
    steps?: OriginTrace,
    countedBy?: { retries: number },
  ): Promise<Answer> {
    const attempts = newAttempts(countedBy);
    for (;;) {
      try {
        const askOnce = (entrant?: Entrant): Promise<Answer> => {
          steps?.attempt(undefined, entrant);
          return ask(entrant ? eitherSignal([this.#closing.signal], entrant) : this.#closing.signal);
        };
        return await this.#attempt(operation, askOnce, attempts, steps);
      } catch (thrown) {
        await this.#retries.pause(thrown, attempts, this.#closing.signal);
      }
    }
  }

  /** One attempt: a request or, with hedging, a race of two. `ask` is called once for each. */
  #attempt<Answer>(
    operation: OriginOperation,
    ask: (entrant?: Entrant) => Promise<Answer>,
    attempts: Attempts,
    steps?: OriginTrace,
    receivedBytes?: () => number,
  ): Promise<Answer> {
    const first = async (entrant?: Entrant): Promise<Answer> => {
      const askedMs = this.#clock.monotonic();
      const permit = await this.#permits.acquire(attempts);
      steps?.permitted(this.#clock.monotonic() - askedMs);
      return this.#permitted(permit, operation, ask, attempts, steps, receivedBytes, entrant);
    };
    if (!this.hedge || (operation !== "get" && operation !== "head")) return first();
    const second = (entrant: Entrant): Promise<Answer> | undefined => {
      const permit = this.#permits.tryAcquire();
      return permit && this.#permitted(permit, operation, ask, attempts, steps, receivedBytes, entrant);
    };
    return this.hedge.run(operation, { first, second });
  }

  /** One request under one permit. The permit covers the whole body, because the body is the origin's load. */
  async #permitted<Answer>(
    permit: Permit,
    operation: OriginOperation,
    ask: (entrant?: Entrant) => Promise<Answer>,
    attempts: Attempts,
    steps?: OriginTrace,
    receivedBytes?: () => number,
    entrant?: Entrant,
  ): Promise<Answer> {
    const round = this.throttle?.round ?? 0;
    const startedMs = this.#clock.monotonic();
    this.stats.requests[operation] += 1;
    entrant?.sent();
    try {
      const answer = await ask(entrant);
      steps?.ended(undefined, this.#clock.monotonic() - startedMs, receivedBytes?.(), entrant);
      return answer;
    } catch (thrown) {
      const tookMs = this.#clock.monotonic() - startedMs;
      if (entrant?.isLost) steps?.cancelled(tookMs, entrant);
      else steps?.ended(thrown, tookMs, receivedBytes?.(), entrant);
      // Another request was faster, or the caller wants no more bytes: that is no error of the origin.
      if (entrant?.isLost || attempts.caller?.aborted) throw thrown;
      const error = OrcaError.from(thrown, "origin_unavailable", "origin", `Cannot ask origin "${this.id}"`);
      this.stats.errors.set(error.code, (this.stats.errors.get(error.code) ?? 0) + 1);
      if (error.code === "origin_throttled") this.throttle?.rejected(round, error.retryAfterSeconds);
      throw error;
    } finally {
      permit.release();
    }
  }
}
