/**
 * Notices when this process itself stood still: a blocked event loop, a stopped container, a suspended machine. A beat
 * that comes late is the sign. It matters because of what happens on waking: (1) answers of others arrive while
 * the loop stands and wait in the sockets; (2) the loop wakes and runs timers first, among them the deadlines of
 * exactly these answers and of suspicions; (3) only then are the sockets read. A deadline that passed in its sleep is
 * therefore no evidence, and whoever is about to blame another one asks here first.
 */
import type { Clock, Timer } from "../base/clock.ts";

const beatMs = 250;

export class StallWatch {
  readonly stats = { stalls: 0, stalledMs: 0 };
  readonly #clock: Clock;
  readonly #toleranceMs: number;
  readonly #onStall: () => void;
  #timer: Timer | undefined;
  #beatAtMs = 0;
  #stallEndedMs = -Infinity;

  constructor(clock: Clock, toleranceMs: number, onStall: () => void) {
    this.#clock = clock;
    this.#toleranceMs = toleranceMs;
    this.#onStall = onStall;
  }

  start(): void {
    this.#beatAtMs = this.#clock.monotonic();
    this.#timer = this.#clock.timer(beatMs, () => {
      this.#look();
      this.#timer?.refresh();
    });
  }

  stop(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
  }

  /** Whether this process stood still at any moment since `sinceMs` (monotonic), the one before this call included. */
  stoodStillSince(sinceMs: number): boolean {
    // The caller's timer may run before the beat that is just as late.
    if (this.#timer) this.#look();
    return this.#stallEndedMs >= sinceMs;
  }

  #look(): void {
    const nowMs = this.#clock.monotonic();
    const lateMs = nowMs - this.#beatAtMs - beatMs;
    this.#beatAtMs = nowMs;
    if (lateMs <= this.#toleranceMs) return;
    this.#stallEndedMs = nowMs;
    this.stats.stalls += 1;
    this.stats.stalledMs += lateMs;
    this.#onStall();
  }
}
