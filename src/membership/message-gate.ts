/**
 * Decides whether a message is read at all, before a byte of it is decoded. Decoding and checking a message costs the
 * time of the event loop, in which clients wait. A message claims an id, so its sender is known only by the session on
 * which it arrives: each session has a rate of its own, and all of them together have another.
 *
 * A sender names its fingerprint beside the message. A sender with another fingerprint, or with none, cannot be in the
 * cluster. A few of its messages are read all the same, so that both sides learn which setting differs.
 *
 * Invariant: a bucket lives as long as its session.
 */
import type { Clock } from "../base/clock.ts";
import { OrcaError } from "../base/orca-error.ts";
import { TokenBucket } from "../base/token-bucket.ts";

/** A session by which messages arrive. */
export interface MessageSource {
  /** Bytes of messages that have arrived since it began. */
  readonly sentBytes: number;
}

/** A burst may contain the messages of this many seconds. */
const burstSeconds = 2;

/** All sessions together may send as much as this many. A member gets about as many messages as it sends. */
const sessionsAtOnce = 8;

/**
 * A session is read at this rate even while all together send too many. Members send each other less, and a flood on
 * other sessions must not make this replica look dead to them.
 */
const quietPerSecond = 4;
const quietBurst = 16;

/** A message costs as many tokens as it has stretches of this size, and one more. */
const bytesPerToken = 4096;

/** Messages without the right fingerprint that are read, over all sessions. */
const unknownPerSecond = 2;
const unknownBurst = 16;

interface Meter {
  readonly bucket: TokenBucket;
  readonly quiet: TokenBucket;
  chargedBytes: number;
}

export class MessageGate {
  /** `overRate`: messages that were not read. */
  readonly stats = { overRate: 0 };
  readonly #clock: Clock;
  readonly #perSecondMax: number;
  readonly #meters = new WeakMap<MessageSource, Meter>();
  readonly #all: TokenBucket;
  readonly #unknown: TokenBucket;

  constructor(clock: Clock, perSecondMax: number) {
    this.#clock = clock;
    this.#perSecondMax = perSecondMax;
    const perSecond = perSecondMax * sessionsAtOnce;
    this.#all = new TokenBucket(clock, { perSecond, burst: perSecond * burstSeconds });
    this.#unknown = new TokenBucket(clock, { perSecond: unknownPerSecond, burst: unknownBurst });
  }

  /** @throws OrcaError `overloaded` if the message must not be read. */
  admit(source: MessageSource, isKnown: boolean): void {
    const meter = this.#meterOf(source);
    // The bytes of a message are known only when it has arrived, so the next one pays for them.
    const tokens = (source.sentBytes - meter.chargedBytes) / bytesPerToken;
    meter.chargedBytes = source.sentBytes;
    if (tokens > 0) {
      meter.bucket.charge(tokens);
      meter.quiet.charge(tokens);
      this.#all.charge(tokens);
    }
    if (!isKnown && !this.#unknown.take()) {
      throw this.#overRate(`more than ${unknownPerSecond} per second have no or another fingerprint`);
    }
    if (!meter.bucket.take()) {
      throw this.#overRate(`its session sends more than ${this.#perSecondMax} per second`);
    }
    if (!this.#all.take() && !meter.quiet.take()) throw this.#overRate("all sessions together send too many");
  }

  #meterOf(source: MessageSource): Meter {
    const known = this.#meters.get(source);
    if (known) return known;
    const bucket = new TokenBucket(this.#clock, {
      perSecond: this.#perSecondMax,
      burst: this.#perSecondMax * burstSeconds,
    });
    const quiet = new TokenBucket(this.#clock, { perSecond: quietPerSecond, burst: quietBurst });
    const meter: Meter = { bucket, quiet, chargedBytes: source.sentBytes };
    this.#meters.set(source, meter);
    return meter;
  }

  #overRate(reason: string): OrcaError {
    this.stats.overRate += 1;
    return new OrcaError("overloaded", "membership", `Cannot accept a membership message: ${reason}`);
  }
}
