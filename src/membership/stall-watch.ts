/**
 * Detects that this process itself was stalled: a blocked event loop, a stopped container, a suspended machine. The sign
 * is a timer, the beat, that fires late. The order of events after a stall matters: (1) answers arrive during the stall
 * and wait in the sockets; (2) the event loop resumes and runs timers first, among them the deadlines of these very
 * answers and of suspicions; (3) only then it reads the sockets. So a deadline that passed during a stall is no
 * evidence, and the parts that accuse other members check here first.
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
      this.#checkBeat();
      this.#timer?.refresh();
    });
  }

  stop(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
  }

  /** Whether this process was stalled at any moment since `sinceMs` (monotonic), including just before this call. */
  stalledSince(sinceMs: number): boolean {
    // The caller's timer may run before the beat, which is late by the same stall.
    if (this.#timer) this.#checkBeat();
    return this.#stallEndedMs >= sinceMs;
  }

  #checkBeat(): void {
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
