/**
 * How busy the threads are whose event loops serve: the main thread, and those that serve clients. Node itself counts how
 * long a loop has waited for work, also for a thread that hangs, which is seen as busy. So nothing is counted twice, and a
 * timer only keeps where the window began.
 */
import { type EventLoopUtilization, performance } from "node:perf_hooks";
import type { Clock, Timer } from "../base/clock.ts";

/** What is shown is of this time, and of up to twice as much. */
export const loadWindowMs = 5000;

/** Milliseconds since the loop began. */
export type LoopTime = Pick<EventLoopUtilization, "idle" | "active">;

export interface LoadedThread {
  /** `main`, or as in the log. There are at most 17. */
  readonly name: string;
  /** Of clients. Undefined for the main thread where other threads serve them. */
  readonly connections: number | undefined;
  loopTime(): LoopTime;
}

export interface ThreadLoad {
  readonly name: string;
  readonly connections: number | undefined;
  /** From 0 to 1. */
  readonly busyPart: number;
}

/** Of the thread that asks. */
export function ownLoopTime(): LoopTime {
  return performance.eventLoopUtilization();
}

type LoopTimes = ReadonlyMap<string, LoopTime>;

export class ThreadLoads {
  readonly #threads: () => readonly LoadedThread[];
  readonly #timer: Timer;
  readonly #busySeconds: Record<string, number> = {};
  /** As they were when the window began that is shown. Empty for one that began with the threads. */
  #shownFrom: LoopTimes = new Map();
  #nextFrom: LoopTimes = new Map();

  constructor(clock: Clock, threads: () => readonly LoadedThread[]) {
    this.#threads = threads;
    this.#timer = clock.timer(loadWindowMs, () => this.#turn());
  }

  /** The main thread first. */
  read(): ThreadLoad[] {
    return this.#threads().map((thread) => {
      const { idle, active } = thread.loopTime();
      const from = this.#shownFrom.get(thread.name) ?? { idle: 0, active: 0 };
      const activeMs = active - from.active;
      const allMs = activeMs + idle - from.idle;
      // A thread that has ended has no time any more.
      const busyPart = allMs > 0 ? Math.min(1, Math.max(0, activeMs / allMs)) : 0;
      return { name: thread.name, connections: thread.connections, busyPart };
    });
  }

  /**
   * Seconds in which the loop did not wait, by thread. They never fall: Node reads how long a loop has waited first, and the
   * clock after that, so a pause between the two counts as work until it is asked again.
   */
  busySeconds(): Record<string, number> {
    for (const thread of this.#threads()) {
      const seconds = thread.loopTime().active / 1000;
      this.#busySeconds[thread.name] = Math.max(this.#busySeconds[thread.name] ?? 0, seconds);
    }
    return { ...this.#busySeconds };
  }

  stop(): void {
    this.#timer.cancel();
  }

  #turn(): void {
    this.#timer.refresh();
    this.#shownFrom = this.#nextFrom;
    this.#nextFrom = new Map(this.#threads().map((each) => [each.name, each.loopTime()]));
  }
}
