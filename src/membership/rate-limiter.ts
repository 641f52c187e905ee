/**
 * Limits the rate of membership messages, with a token bucket for each sender. A message over the rate costs a comparison
 * and no merge. Senders that are not members yet share one bucket, so a sender gains nothing by inventing ids.
 *
 * Invariant: only members have a bucket of their own, so there are at most as many as the view may have members.
 */
import type { Clock } from "../base/clock.ts";
import { OrcaError } from "../base/orca-error.ts";

interface Bucket {
  tokens: number;
  filledMs: number;
}

/** A burst may contain the messages of this many seconds. */
const burstSeconds = 2;

export class RateLimiter {
  readonly #clock: Clock;
  readonly #perSecondMax: number;
  readonly #byMember = new Map<string, Bucket>();
  readonly #nonMembers: Bucket;

  constructor(clock: Clock, perSecondMax: number) {
    this.#clock = clock;
    this.#perSecondMax = perSecondMax;
    this.#nonMembers = { tokens: perSecondMax * burstSeconds, filledMs: clock.monotonic() };
  }

  /** Takes a token of the sender. @throws OrcaError `overloaded` if it has none left. */
  admit(replicaId: string, isMember: boolean): void {
    const bucket = isMember ? this.#bucketOf(replicaId) : this.#nonMembers;
    const nowMs = this.#clock.monotonic();
    const refill = ((nowMs - bucket.filledMs) / 1000) * this.#perSecondMax;
    bucket.tokens = Math.min(this.#perSecondMax * burstSeconds, bucket.tokens + refill);
    bucket.filledMs = nowMs;
    if (bucket.tokens < 1) {
      throw new OrcaError(
        "overloaded",
        "membership",
        `Cannot accept a message from "${replicaId}": it sends more than ${this.#perSecondMax} messages per second`,
      );
    }
    bucket.tokens -= 1;
  }

  /** Deletes the bucket of a member that is no longer in the view. */
  forget(replicaId: string): void {
    this.#byMember.delete(replicaId);
  }

  #bucketOf(replicaId: string): Bucket {
    let bucket = this.#byMember.get(replicaId);
    if (!bucket) {
      bucket = { tokens: this.#perSecondMax * burstSeconds, filledMs: this.#clock.monotonic() };
      this.#byMember.set(replicaId, bucket);
    }
    return bucket;
  }
}
