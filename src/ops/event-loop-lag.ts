/**
 * The notice in /readyz about an event loop that is late: everything that this replica does goes through it. A replica
 * that is late still serves, so it is no reason for a 503. `/metrics` has the same as `nodejs_eventloop_lag_p99_seconds`.
 */
import { monitorEventLoopDelay } from "node:perf_hooks";
import type { Clock, Timer } from "../base/clock.ts";
import type { ReadinessCheck } from "./readiness.ts";

/** What is measured is this much later than it should be: the histogram counts from one tick to the next. */
const resolutionMs = 20;

/** The notice is about the last whole window. */
export const windowMs = 10_000;

/** Readers and peers notice such a delay. */
const lagP99MaxMs = 100;

/** A single turn that takes this long is one that peers take for an outage. */
const lagMaxMs = 1000;

/** A histogram of perf_hooks, in nanoseconds. */
export interface Delays {
  readonly max: number;
  percentile(percentile: number): number;
  reset(): void;
  disable(): void;
}

export class EventLoopLag {
  readonly #delays: Delays;
  readonly #timer: Timer;
  #p99Ms = 0;
  #maxMs = 0;

  constructor(clock: Clock, delays: Delays = enabled()) {
    this.#delays = delays;
    this.#timer = clock.timer(windowMs, () => this.#turn());
  }

  /** Null while the event loop is on time. */
  readonly notice: ReadinessCheck = () => {
    if (this.#p99Ms < lagP99MaxMs && this.#maxMs < lagMaxMs) return null;
    const late = `in ${windowMs / 1000} s, one turn in a hundred began ${Math.round(this.#p99Ms)} ms late or more, and the latest ${Math.round(this.#maxMs)} ms`;
    return `the event loop is late (${late}): its thread takes a whole core, other programs take the cores, or this process was stopped; see orca status and orca profile cpu`;
  };

  stop(): void {
    this.#timer.cancel();
    this.#delays.disable();
  }

  #turn(): void {
    this.#timer.refresh();
    this.#p99Ms = lateMs(this.#delays.percentile(99));
    this.#maxMs = lateMs(this.#delays.max);
    this.#delays.reset();
  }
}

function lateMs(nanoseconds: number): number {
  return Math.max(0, nanoseconds / 1e6 - resolutionMs);
}

function enabled(): Delays {
  const delays = monitorEventLoopDelay({ resolution: resolutionMs });
  delays.enable();
  return delays;
}
