/**
 * A token bucket for each sender of messages: one that sends without pause costs the others a comparison, and no merge.
 * Senders that are no members yet share one bucket, so that made-up names buy nothing.
 *
 * Invariant: there is a bucket for members alone, and at most as many as the view may have members.
 */
import type { Clock } from "../base/clock.ts";
import { OrcaError } from "../base/orca-error.ts";

interface Bucket {
  tokens: number;
  filledMs: number;
}

/** What one member may send at once is this many seconds' worth. */
const burstSeconds = 2;

export class FloodGate {
  readonly #clock: Clock;
  readonly #perSecondMax: number;
  readonly #byMember = new Map<string, Bucket>();
  readonly #strangers: Bucket;

  constructor(clock: Clock, perSecondMax: number) {
    this.#clock = clock;
    this.#perSecondMax = perSecondMax;
    this.#strangers = { tokens: perSecondMax * burstSeconds, filledMs: clock.monotonic() };
  }

  /** @throws OrcaError `overloaded` when this sender has sent more than it may. */
  admit(replicaId: string, isMember: boolean): void {
    const bucket = isMember ? this.#bucketOf(replicaId) : this.#strangers;
    const nowMs = this.#clock.monotonic();
    const refill = ((nowMs - bucket.filledMs) / 1000) * this.#perSecondMax;
    bucket.tokens = Math.min(this.#perSecondMax * burstSeconds, bucket.tokens + refill);
    bucket.filledMs = nowMs;
    if (bucket.tokens < 1) {
      throw new OrcaError(
        "overloaded",
        "membership",
        `Cannot take in a message of "${replicaId}": it sends more than ${this.#perSecondMax} a second`,
      );
    }
    bucket.tokens -= 1;
  }

  /** For a member that is no longer in the view. */
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
