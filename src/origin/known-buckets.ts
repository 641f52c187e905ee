/**
 * Which buckets an origin is believed to have. HEAD of an object answers 404 without a body, whether the object or its
 * bucket is missing. Clients must not get NoSuchKey for every key of a bucket whose name is mistyped. So a driver that
 * was answered 404 asks for the bucket, unless it has answered within the last minute, or the last `metadata.ttl` if that
 * is shorter: a working bucket costs one small request a minute at most, and only while absent keys are asked for.
 */
import type { Clock } from "../base/clock.ts";
import { LruMap } from "../base/lru-map.ts";
import { OrcaError } from "../base/orca-error.ts";

/** For so long at most a bucket that was there is believed to be there. */
const believedMsMax = 60_000;

/** For so long a bucket that could not be looked at is not asked for again: the origin has its own troubles. */
const pauseMs = 5000;

/** With `"*"` among the buckets, clients name them. One that is forgotten costs a question. */
const bucketsMax = 10_000;

export class KnownBuckets {
  readonly #clock: Clock;
  readonly #ask: (bucket: string) => Promise<void>;
  readonly #believedMs: number;
  /** Until when each bucket is not asked for. */
  readonly #believedUntilMs = new LruMap<string, number>({ entriesMax: bucketsMax });
  /** One for each request that waits, at most. */
  readonly #asking = new Map<string, Promise<void>>();

  /** `ask` rejects with `no_such_bucket` if the origin has no such bucket, and settles in bounded time. */
  constructor(clock: Clock, ask: (bucket: string) => Promise<void>, ttlMs: number = believedMsMax) {
    this.#clock = clock;
    this.#ask = ask;
    this.#believedMs = Math.min(ttlMs, believedMsMax);
  }

  /** The origin has answered a request that only an existing bucket can answer. */
  seen(bucket: string): void {
    this.#believe(bucket, this.#believedMs);
  }

  /**
   * Resolves if the bucket is there, or cannot be looked at. Callers at one moment share one question.
   * @throws OrcaError no_such_bucket
   */
  check(bucket: string): Promise<void> {
    if (this.#clock.monotonic() < (this.#believedUntilMs.get(bucket) ?? 0)) return Promise.resolve();
    let asking = this.#asking.get(bucket);
    if (!asking) {
      asking = this.#look(bucket).finally(() => this.#asking.delete(bucket));
      this.#asking.set(bucket, asking);
    }
    return asking;
  }

  async #look(bucket: string): Promise<void> {
    try {
      await this.#ask(bucket);
      this.seen(bucket);
    } catch (thrown) {
      const error = OrcaError.from(
        thrown,
        "origin_unavailable",
        "origin",
        `Cannot look at bucket "${bucket}"`,
      );
      if (error.code === "no_such_bucket") {
        this.#believedUntilMs.delete(bucket);
        throw error;
      }
      // A right to list that is missing stays missing; other trouble may pass.
      this.#believe(bucket, error.code === "origin_denied" ? believedMsMax : pauseMs);
    }
  }

  #believe(bucket: string, forMs: number): void {
    this.#believedUntilMs.set(bucket, this.#clock.monotonic() + forMs);
  }
}
