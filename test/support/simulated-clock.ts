/**
 * Time for simulations: a clock like FakeClock that moves through hours in seconds. Timers stand in a heap, and after
 * each one a single turn of the event loop runs what it made ready, which is enough where nothing does real I/O.
 */
import type { Clock, Timer } from "../../src/base/clock.ts";

interface Armed {
  readonly deadlineMs: number;
  readonly order: number;
  readonly owner: SimulatedTimer;
}

class SimulatedTimer implements Timer {
  readonly delayMs: number;
  readonly callback: () => void;
  readonly #clock: SimulatedClock;
  /** The arming that counts; an older one in the heap is passed over. */
  armed: Armed | undefined;

  constructor(clock: SimulatedClock, delayMs: number, callback: () => void) {
    this.#clock = clock;
    this.delayMs = delayMs;
    this.callback = callback;
  }

  refresh(): void {
    this.armed = this.#clock.arm(this);
  }

  cancel(): void {
    this.armed = undefined;
  }
}

export class SimulatedClock implements Clock {
  readonly #startMs: number;
  readonly #heap: Armed[] = [];
  #nowMs: number;
  #order = 0;

  constructor(startMs = Date.UTC(2026, 0, 1)) {
    this.#startMs = startMs;
    this.#nowMs = startMs;
  }

  now(): number {
    return this.#nowMs;
  }

  monotonic(): number {
    return this.#nowMs - this.#startMs;
  }

  get pendingTimers(): number {
    return this.#heap.filter((armed) => armed.owner.armed === armed).length;
  }

  timer(delayMs: number, callback: () => void): Timer {
    const timer = new SimulatedTimer(this, delayMs, callback);
    timer.refresh();
    return timer;
  }

  /** Moves time on by `milliseconds`, firing what falls due on the way, equal deadlines in the order of arming. */
  async advance(milliseconds: number): Promise<void> {
    const endMs = this.#nowMs + milliseconds;
    await turn();
    for (;;) {
      const next = this.#heap[0];
      if (!next || next.deadlineMs > endMs) break;
      this.#pop();
      if (next.owner.armed !== next) continue;
      next.owner.armed = undefined;
      this.#nowMs = Math.max(this.#nowMs, next.deadlineMs);
      next.owner.callback();
      await turn();
    }
    this.#nowMs = endMs;
  }

  /** Advances until `condition` holds; the time that took, or undefined when it was not so within `limitMs`. */
  async until(condition: () => boolean, limitMs: number, stepMs = 20): Promise<number | undefined> {
    const startMs = this.#nowMs;
    while (!condition()) {
      if (this.#nowMs - startMs >= limitMs) return undefined;
      await this.advance(stepMs);
    }
    return this.#nowMs - startMs;
  }

  /** @internal For its timers. */
  arm(owner: SimulatedTimer): Armed {
    const armed = { deadlineMs: this.#nowMs + owner.delayMs, order: this.#order++, owner };
    const heap = this.#heap;
    let index = heap.length;
    while (index > 0) {
      const parent = (index - 1) >> 1;
      if (!isBefore(armed, heap[parent] as Armed)) break;
      heap[index] = heap[parent] as Armed;
      index = parent;
    }
    heap[index] = armed;
    return armed;
  }

  #pop(): void {
    const heap = this.#heap;
    const last = heap.pop() as Armed;
    if (heap.length === 0) return;
    let index = 0;
    for (;;) {
      let child = 2 * index + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && isBefore(heap[child + 1] as Armed, heap[child] as Armed)) child += 1;
      if (!isBefore(heap[child] as Armed, last)) break;
      heap[index] = heap[child] as Armed;
      index = child;
    }
    heap[index] = last;
  }
}

function isBefore(left: Armed, right: Armed): boolean {
  return left.deadlineMs === right.deadlineMs ? left.order < right.order : left.deadlineMs < right.deadlineMs;
}

/** One turn of the event loop: every promise that is ready has run after it. */
function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
