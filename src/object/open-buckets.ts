/**
 * Every bucket of an origin, for `origin.buckets: {"*"}`: clients name them, and the origin says which there are. A bucket
 * is asked for before anything in it, so that a flood of names costs one small question each and no more. The configured
 * buckets of an origin are asked for in the same way (configured-buckets.ts).
 *
 * A bucket that is in use is asked for again in the background, once per TTL. Requests for its objects do not wait for
 * that: while the origin is down, cached objects are served, and the question about an object finds a bucket that is gone
 * just as well (known-buckets.ts).
 *
 * In a cluster each replica asks for itself, at most once per bucket and TTL. TTLs do not add up for that reason.
 *
 * Invariants:
 * 1. A name that the rules forbid, or that is hidden, is never asked for.
 * 2. At most one question per name is in flight, and all who ask wait for it. At most {@link questionsMax} are with the
 *    origin, and {@link waitingMax} wait: a flood of names leaves the origin to others.
 * 3. What is known of a bucket expires one TTL after its question was *sent*. Absence is kept for `negativeTtlMs`.
 * 4. At most {@link entriesMax} names are known, and they take at most {@link bytesMax}, estimated from above.
 */
import type { Clock } from "../base/clock.ts";
import { LruMap } from "../base/lru-map.ts";
import { OrcaError } from "../base/orca-error.ts";
import { Semaphore } from "../base/semaphore.ts";
import type { Bucket } from "./bucket.ts";
import { ownText } from "./heap-text.ts";

export interface OpenBucketsOptions {
  /** Whether a bucket can have this name. */
  readonly isName: (name: string) => boolean;
  /** The bucket of a name. It need not exist. */
  readonly bucketOf: (name: string) => Bucket;
  /** Asks the origin. @throws OrcaError no_such_bucket, origin_denied, or for trouble that may pass. */
  readonly ask: (name: string) => Promise<void>;
  readonly clock: Clock;
  readonly ttlMs: number;
  readonly negativeTtlMs: number;
  /** How long a question waits for its turn. After that its client gets 503 SlowDown. */
  readonly queueTimeoutMs: number;
  /** Whether a bucket of which nothing is known counts as there when its question fails: it is configured. */
  readonly isConfigured?: boolean;
}

/** A bucket, and why it could not be looked at although its objects may be readable. */
export interface FoundBucket {
  readonly bucket: Bucket;
  readonly fault: OrcaError | undefined;
}

interface Known {
  /** Undefined where the origin has none of the name. */
  readonly found: FoundBucket | undefined;
  readonly endsMs: number;
}

const entriesMax = 20_000;
const bytesMax = 16 * 1024 * 1024;
/** Of an entry beside its name: a bucket, an entry of a map and of a list. */
const entryBytes = 600;
const questionsMax = 16;
const waitingMax = 1000;
/** For so long a bucket in use, or a configured one, is not asked for again after a question that failed. */
const pauseMs = 5000;

export class OpenBuckets {
  /** Questions by their outcome, and requests that joined one. */
  readonly stats = { present: 0, absent: 0, denied: 0, failed: 0, joined: 0 };
  readonly #options: OpenBucketsOptions;
  readonly #known = new LruMap<string, Known>({ entriesMax, weightMax: bytesMax });
  readonly #asking = new Map<string, Promise<FoundBucket | OrcaError>>();
  readonly #permits: Semaphore;

  constructor(options: OpenBucketsOptions) {
    this.#options = options;
    this.#permits = new Semaphore(
      "a question about a bucket",
      questionsMax,
      options.clock,
      waitingMax,
      "object",
    );
  }

  get size(): number {
    return this.#known.size;
  }

  get bytes(): number {
    return this.#known.weight;
  }

  isName(name: string): boolean {
    return this.#options.isName(name);
  }

  /** A bucket that was there when it was last asked for. Never waits. */
  get(name: string): Bucket | undefined {
    const known = this.#known.get(name);
    if (known?.found === undefined) return undefined;
    if (known.endsMs <= this.#options.clock.monotonic() && !this.#asking.has(name)) void this.#ask(name);
    return known.found.bucket;
  }

  /** The bucket as the origin knows it, at most one TTL old, or why there is none. Never rejects. */
  async find(name: string): Promise<FoundBucket | OrcaError> {
    const known = this.#known.get(name);
    if (known && known.endsMs > this.#options.clock.monotonic()) return known.found ?? noSuchBucket(name);
    if (!this.#options.isName(name)) return noSuchBucket(name);
    const running = this.#asking.get(name);
    if (running === undefined) return this.#ask(name);
    this.stats.joined += 1;
    return running;
  }

  /** The bucket of a name that one can have, without a question: for an operator, who knows what exists. */
  named(name: string): Bucket | undefined {
    return this.#options.isName(name) ? this.#options.bucketOf(name) : undefined;
  }

  #ask(requested: string): Promise<FoundBucket | OrcaError> {
    const name = ownText(requested);
    const asked = this.#run(name).finally(() => this.#asking.delete(name));
    this.#asking.set(name, asked);
    return asked;
  }

  async #run(name: string): Promise<FoundBucket | OrcaError> {
    const { clock, ask, ttlMs, negativeTtlMs, queueTimeoutMs } = this.#options;
    try {
      const permit = await this.#permits.acquire(queueTimeoutMs);
      const sentMs = clock.monotonic();
      try {
        await ask(name);
        this.stats.present += 1;
        return this.#found(name, undefined, sentMs + ttlMs);
      } catch (thrown) {
        const error = OrcaError.from(
          thrown,
          "origin_unavailable",
          "origin",
          `Cannot look at bucket "${name}"`,
        );
        if (error.code === "no_such_bucket") {
          this.stats.absent += 1;
          this.#keep(name, { found: undefined, endsMs: sentMs + negativeTtlMs });
          return noSuchBucket(name);
        }
        if (error.code !== "origin_denied") throw error;
        // A right to get objects is enough to read.
        this.stats.denied += 1;
        return this.#found(name, error, sentMs + Math.min(ttlMs, negativeTtlMs));
      } finally {
        permit.release();
      }
    } catch (thrown) {
      this.stats.failed += 1;
      const error = OrcaError.from(thrown, "internal", "object", `Cannot look at bucket "${name}"`);
      const { isConfigured = false, bucketOf } = this.#options;
      const bucket = this.#known.peek(name)?.found?.bucket ?? (isConfigured ? bucketOf(name) : undefined);
      if (bucket) this.#keep(name, { found: { bucket, fault: error }, endsMs: clock.monotonic() + pauseMs });
      return error;
    }
  }

  #found(name: string, fault: OrcaError | undefined, endsMs: number): FoundBucket {
    const bucket = this.#known.peek(name)?.found?.bucket ?? this.#options.bucketOf(name);
    const found = { bucket, fault };
    this.#keep(name, { found, endsMs });
    return found;
  }

  /** With a TTL of 0 nothing is kept: each request asks. */
  #keep(name: string, known: Known): void {
    if (known.endsMs > this.#options.clock.monotonic())
      this.#known.set(name, known, entryBytes + 2 * name.length);
    else this.#known.delete(name);
  }
}

/** The client's error: it may name whatever it likes, and that is no news for the log. */
function noSuchBucket(name: string): OrcaError {
  return new OrcaError(
    "no_such_bucket",
    "client",
    `Cannot find bucket "${name}": the origin has none of that name`,
  );
}
