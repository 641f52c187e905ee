/**
 * Cuts the requests in flight to an origin that throttles (503, 429), and lets them grow again: additive increase,
 * multiplicative decrease (Chiu, Jain: "Analysis of the increase and decrease algorithms", 1989; RFC 5681). What is cut
 * is the part of `target_global` that the whole cluster may use. A replica that was throttled tells the others the part
 * that it arrived at, and no factor: two that cut at once agree on one cut, and an item that arrives twice does nothing.
 * Each replica lets its part grow by its own clock, at the same rate.
 *
 * A cut makes requests wait. It fails none: a request that has waited as long as `waitMaxMs` in all its attempts goes on
 * to the permits of the share, as it would without a cut.
 *
 * Invariants:
 * 1. 0 < part <= 1, and this replica's limit is at least 1. The timer runs while the part is below 1, and only then.
 * 2. One cut for one round trip: a rejection counts only if its request was sent after the last cut, its own or a
 *    peer's. RFC 5681 cuts once for one window, too. Nor do two cuts of this replica follow within cutIntervalMinMs, so
 *    that an origin in the same rack does not cause ten before the others hear of one.
 * 3. A rumor lowers the part and never raises it. One that is late costs a cut to a part that was right before, from
 *    which it grows again within recoveryMs.
 * 4. A `Retry-After` keeps the part from growing until it is over, at most holdMsMax.
 */
import type { Clock, Timer } from "../../base/clock.ts";
import { OrcaError } from "../../base/orca-error.ts";
import { type Permit, Semaphore } from "../../base/semaphore.ts";

/** CUBIC's (RFC 9438): the mean between two cuts is 0.85 of the origin's capacity; with RFC 5681's 0.5 it is 0.75. */
const cutFactor = 0.7;

/** From nothing to the whole share. A shorter time asks sooner for too much, a longer one wastes capacity. */
const recoveryMs = 20_000;

/** Between two steps of growth. */
const stepMs = 250;

/** As long as the first pause before a retry, and about as long as gossip needs to the most replicas. */
const cutIntervalMinMs = 100;

/** An origin that answers `Retry-After: 3600` by mistake must not stop a cluster for an hour. */
const holdMsMax = 60_000;

/** What a replica tells the others. */
export interface LimitCut {
  /** Of `target_global`, above 0 and up to 1. */
  readonly part: number;
  /** It must not grow for so long. */
  readonly holdMs: number;
}

export interface ThrottleEvents {
  /** `began`: the part was 1 before. `heard`: a peer cut it. */
  readonly onCut?: (cut: LimitCut, how: { readonly began: boolean; readonly heard: boolean }) => void;
  /** The part is 1 again. */
  readonly onRecovered?: () => void;
}

/** One request, over all its attempts. */
export interface Paced {
  /** How long it has waited because of a cut. */
  pacedMs: number;
}

export interface ThrottleOptions {
  readonly originId: string;
  readonly clock: Clock;
  /** This replica's share of `target_global`. */
  readonly share: number;
  /** How long one request waits because of a cut, all its attempts together. */
  readonly waitMaxMs: number;
}

export class Throttle {
  /** `letThrough`: requests that had waited `waitMaxMs`. */
  readonly stats = { cuts: 0, cutsHeard: 0, letThrough: 0 };
  /** Set once by the part that logs and gossips. */
  events: ThrottleEvents = {};
  readonly #clock: Clock;
  readonly #waitMaxMs: number;
  readonly #gate: Semaphore;
  #share: number;
  #part = 1;
  #round = 0;
  #cutMs = -Infinity;
  #holdUntilMs = -Infinity;
  #timer: Timer | undefined;
  #closed = false;

  constructor({ originId, clock, share, waitMaxMs }: ThrottleOptions) {
    this.#clock = clock;
    this.#waitMaxMs = waitMaxMs;
    this.#share = share;
    this.#gate = new Semaphore(`origin "${originId}", which throttles`, Number.MAX_SAFE_INTEGER, clock);
  }

  /** Of `target_global`, as this replica sees it. 1 outside of an episode. */
  get part(): number {
    return this.#part;
  }

  get isCut(): boolean {
    return this.#part < 1;
  }

  /** Requests that this replica may have in flight. */
  get limit(): number {
    // 0.7 * 0.7 is a little below 0.49.
    return Math.max(1, Math.floor(this.#share * this.#part + 1e-9));
  }

  /** Requests that wait because of a cut. */
  get waiting(): number {
    return this.#gate.waiting;
  }

  /** The number of the last cut. A request keeps that of the moment when it was sent, for {@link rejected}. */
  get round(): number {
    return this.#round;
  }

  /** For a replica that joins during an episode. Undefined outside of one. */
  get state(): LimitCut | undefined {
    return this.isCut ? this.#asCut() : undefined;
  }

  /** Sets this replica's share of `target_global`. */
  resize(share: number): void {
    this.#share = share;
    const wasCut = this.isCut;
    this.#part = Math.max(this.#part, this.#partMin);
    this.#resizeGate();
    if (wasCut && !this.isCut) this.#recovered();
  }

  /** Resolves when the limit has room for one more request, or the request has waited its time. Adds to `paced`. */
  async enter(paced: Paced): Promise<Permit> {
    const leftMs = this.#waitMaxMs - paced.pacedMs;
    const atOnce = this.tryEnter();
    if (atOnce) return atOnce;
    const askedMs = this.#clock.monotonic();
    try {
      if (leftMs > 0) return await this.#gate.acquire(leftMs);
    } catch (thrown) {
      if (!(thrown instanceof OrcaError) || thrown.code !== "overloaded") throw thrown;
    } finally {
      paced.pacedMs += this.#clock.monotonic() - askedMs;
    }
    this.stats.letThrough += 1;
    return this.#gate.overdraw();
  }

  /** Undefined where the request would have to wait. */
  tryEnter(): Permit | undefined {
    return this.#gate.tryAcquire();
  }

  /** The origin answered 503 or 429 to a request that was sent in `round`. */
  rejected(round: number, retryAfterSeconds: number | undefined): void {
    if (this.#closed) return;
    const nowMs = this.#clock.monotonic();
    this.#hold(Math.min(holdMsMax, (retryAfterSeconds ?? 0) * 1000));
    if (round !== this.#round || nowMs - this.#cutMs < cutIntervalMinMs) return;
    const part = Math.max(this.#partMin, this.#part * cutFactor);
    const isLower = part < this.#part;
    const began = !this.isCut;
    this.#cutTo(part);
    if (!isLower) return;
    this.stats.cuts += 1;
    this.events.onCut?.(this.#asCut(), { began, heard: false });
  }

  /** A peer has cut its part, or tells a replica that has joined. */
  heard({ part, holdMs }: LimitCut): void {
    if (this.#closed || part > this.#part) return;
    const began = !this.isCut;
    const lower = Math.max(this.#partMin, part);
    this.#hold(Math.min(holdMsMax, holdMs));
    const isLower = lower < this.#part;
    this.#cutTo(Math.min(lower, this.#part));
    if (!isLower) return;
    this.stats.cutsHeard += 1;
    this.events.onCut?.(this.#asCut(), { began, heard: true });
  }

  /** Nothing waits any more, and no timer runs. */
  close(): void {
    this.#closed = true;
    this.#part = 1;
    this.#end();
  }

  /** A limit below 1 would stop this replica. */
  get #partMin(): number {
    return 1 / this.#share;
  }

  #asCut(): LimitCut {
    return { part: this.#part, holdMs: Math.max(0, this.#holdUntilMs - this.#clock.monotonic()) };
  }

  #hold(holdMs: number): void {
    if (holdMs > 0) this.#holdUntilMs = Math.max(this.#holdUntilMs, this.#clock.monotonic() + holdMs);
  }

  #cutTo(part: number): void {
    this.#round += 1;
    this.#cutMs = this.#clock.monotonic();
    this.#part = part;
    this.#resizeGate();
    if (!this.isCut) return;
    if (this.#timer) this.#timer.refresh();
    else this.#timer = this.#clock.timer(stepMs, this.#grow);
  }

  readonly #grow = (): void => {
    if (this.#clock.monotonic() >= this.#holdUntilMs) {
      // The sum of eighty steps may be a little below 1.
      this.#part = Math.min(1, this.#part + stepMs / recoveryMs);
      if (this.#part > 1 - 1e-9) this.#part = 1;
      this.#resizeGate();
    }
    if (this.isCut) this.#timer?.refresh();
    else this.#recovered();
  };

  #recovered(): void {
    this.#end();
    this.events.onRecovered?.();
  }

  #end(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    this.#resizeGate();
  }

  /** Outside of an episode the gate only counts, so that it knows the requests in flight when one begins. */
  #resizeGate(): void {
    this.#gate.resize(this.isCut ? this.limit : Number.MAX_SAFE_INTEGER);
  }
}
