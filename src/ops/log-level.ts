/**
 * The level of the log while the replica runs. Another level than the configured one holds for a time that is bounded, so
 * that a replica which somebody looked into does not log every request from then on.
 */
import type { Clock, Timer } from "../base/clock.ts";

export const logLevels = ["debug", "info", "warn", "error"] as const;
export type LogLevel = (typeof logLevels)[number];

export const changedLevelMsMax = 3_600_000;

/** What takes the level, such as a logger of pino. */
export interface Levelled {
  level: string;
}

export class LogLevelControl {
  readonly configured: LogLevel;
  readonly #target: Levelled;
  readonly #clock: Clock;
  readonly #onReturn: () => void;
  readonly #watchers: (() => void)[] = [];
  #current: LogLevel;
  #untilMs: number | undefined;
  #timer: Timer | undefined;

  /** `onReturn` is called when the time of another level is over. */
  constructor(configured: LogLevel, target: Levelled, clock: Clock, onReturn: () => void) {
    this.configured = configured;
    this.#current = configured;
    this.#target = target;
    this.#clock = clock;
    this.#onReturn = onReturn;
  }

  get current(): LogLevel {
    return this.#current;
  }

  /** When the configured level returns, in wall-clock time; undefined while it holds. */
  get untilMs(): number | undefined {
    return this.#untilMs;
  }

  /** From now on and for `forMs`, at most {@link changedLevelMsMax}. The configured level returns at once. */
  change(level: LogLevel, forMs: number): void {
    this.reset();
    if (level === this.configured) return;
    const boundMs = Math.min(forMs, changedLevelMsMax);
    this.#take(level);
    this.#untilMs = this.#clock.now() + boundMs;
    this.#timer = this.#clock.timer(boundMs, () => {
      this.reset();
      this.#onReturn();
    });
  }

  /** Calls `onChange` with each change. For parts that live as long as the log. */
  watch(onChange: () => void): void {
    this.#watchers.push(onChange);
  }

  /** Returns to the configured level. */
  reset(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    this.#untilMs = undefined;
    this.#take(this.configured);
  }

  #take(level: LogLevel): void {
    this.#current = level;
    this.#target.level = level;
    for (const onChange of this.#watchers) onChange();
  }
}
