/**
 * Decides when to stop using a store that fails, and when to try it again. It does no I/O and sets no timer. Its caller
 * reports how operations end, and it reads the clock when the next one is about to begin, so an unused store costs
 * nothing. (The pattern is Nygard's circuit breaker, "Release It!", chapter 5.)
 *
 *     closed ──── errorsToOpen errors within windowMs ───▶ open
 *     open ────── openMs later, at the next admit ───────▶ half-open
 *     half-open ─ probesToClose successes ───────────────▶ closed
 *     half-open ─ one error ─────────────────────────────▶ open
 *
 * Invariants:
 * 1. Every admitted operation ends in one of `succeeded`, `failed` and `withdrawn`, so half-open always ends.
 * 2. While half-open, at most probesToClose operations are admitted. Withdrawn ones do not count.
 * 3. While open, no operation is admitted, and the end of an earlier operation changes only the counters.
 *
 * An operation may begin in one state and end in another: (1) it is admitted while closed; (2) others fail and open the
 * breaker; (3) half-open begins; (4) it ends. Its success or error then counts like that of a probe, because it is as
 * recent an answer from the store. If it is withdrawn, the store has not answered, and the count of admitted probes
 * must not change, because the operation was none of them. To recognize this case, each admission has a number: how
 * often the breaker had opened before it.
 */
import { assert } from "../../base/assert.ts";
import type { Clock } from "../../base/clock.ts";
import type { OrcaError } from "../../base/orca-error.ts";

export type BreakerState =
  | { readonly kind: "closed" }
  /** `untilMs` on the monotonic clock; `cause` is the error that opened it. */
  | { readonly kind: "open"; readonly untilMs: number; readonly cause: OrcaError }
  | { readonly kind: "half-open"; readonly admitted: number; readonly succeeded: number };

/** Called after the state has changed from `previous` to `state`, for every change of kind. */
export type BreakerListener = (state: BreakerState, previous: BreakerState) => void;

export interface BreakerOptions {
  readonly clock: Clock;
  /** This many errors within `windowMs` open the breaker for `openMs`. */
  readonly errorsToOpen?: number;
  readonly windowMs?: number;
  readonly openMs?: number;
  /** Then this many operations are admitted, and all must succeed. */
  readonly probesToClose?: number;
}

const closed: BreakerState = { kind: "closed" };

export class Breaker {
  readonly stats = { succeeded: 0, failed: 0, withdrawn: 0, turnedAway: 0, opened: 0, closed: 0 };
  readonly #clock: Clock;
  readonly #errorsToOpen: number;
  readonly #windowMs: number;
  readonly #openMs: number;
  readonly #probesToClose: number;
  readonly #listeners: BreakerListener[] = [];
  /** The times of the last errors, the oldest first; at most as many as open the breaker. */
  #errorsAtMs: number[] = [];
  #state: BreakerState = closed;
  /** How often the breaker has opened. While it is half-open, only its probes have this number. */
  #admission = 0;
  #deniedInARow = 0;

  constructor(options: BreakerOptions) {
    this.#clock = options.clock;
    this.#errorsToOpen = options.errorsToOpen ?? 10;
    this.#windowMs = options.windowMs ?? 30_000;
    this.#openMs = options.openMs ?? 30_000;
    this.#probesToClose = options.probesToClose ?? 3;
    assert(
      this.#errorsToOpen > 0 && this.#probesToClose > 0,
      "a breaker opens after an error and closes after a probe",
    );
  }

  get state(): BreakerState {
    return this.#state;
  }

  /** The number of latest operations that all ended in `store_denied`. */
  get deniedInARow(): number {
    return this.#deniedInARow;
  }

  /** Whether {@link admit} would let an operation through now. */
  get admits(): boolean {
    const state = this.#state;
    switch (state.kind) {
      case "closed":
        return true;
      case "open":
        return this.#clock.monotonic() >= state.untilMs;
      case "half-open":
        return state.admitted < this.#probesToClose;
    }
  }

  onChange(listener: BreakerListener): void {
    this.#listeners.push(listener);
  }

  /**
   * Undefined if the operation may not begin. An admitted operation ends in exactly one of the three calls below; the
   * number is for {@link withdrawn}.
   */
  admit(): number | undefined {
    if (!this.admits) {
      this.stats.turnedAway += 1;
      return undefined;
    }
    if (this.#state.kind === "open") this.#change({ kind: "half-open", admitted: 0, succeeded: 0 });
    if (this.#state.kind === "half-open")
      this.#state = { ...this.#state, admitted: this.#state.admitted + 1 };
    return this.#admission;
  }

  /** The store answered. "Not found" is an answer, too. */
  succeeded(): void {
    this.stats.succeeded += 1;
    this.#deniedInARow = 0;
    const state = this.#state;
    if (state.kind !== "half-open") return;
    this.#state = { ...state, succeeded: state.succeeded + 1 };
    if (this.#state.succeeded < this.#probesToClose) return;
    this.stats.closed += 1;
    this.#change(closed);
  }

  /** The store failed, did not answer in time, or denied Orca access (`store_denied`). */
  failed(error: OrcaError): void {
    this.stats.failed += 1;
    this.#deniedInARow = error.code === "store_denied" ? this.#deniedInARow + 1 : 0;
    if (this.#state.kind === "open") return;
    const nowMs = this.#clock.monotonic();
    this.#errorsAtMs.push(nowMs);
    if (this.#errorsAtMs.length > this.#errorsToOpen) this.#errorsAtMs.shift();
    const isBurst =
      this.#errorsAtMs.length === this.#errorsToOpen &&
      nowMs - (this.#errorsAtMs[0] as number) <= this.#windowMs;
    if (this.#state.kind === "closed" && !isBurst) return;
    this.stats.opened += 1;
    this.#admission += 1;
    this.#errorsAtMs = [];
    this.#change({ kind: "open", untilMs: nowMs + this.#openMs, cause: error });
  }

  /** The operation ended without an answer from the store: its caller gave up, or there was no room for it. */
  withdrawn(admission: number): void {
    this.stats.withdrawn += 1;
    const state = this.#state;
    if (state.kind === "half-open" && admission === this.#admission)
      this.#state = { ...state, admitted: state.admitted - 1 };
  }

  #change(state: BreakerState): void {
    const previous = this.#state;
    this.#state = state;
    for (const listener of this.#listeners) listener(state, previous);
  }
}
