/**
 * A clock that stands still until a test advances it. Timers fire in the order of their deadlines, and between two
 * of them the microtask and I/O queues are drained, so that a chain of awaits behind a timer runs as it would live.
 */
import type { Clock, Timer } from "../../src/base/clock.ts";

interface Entry {
  deadlineMs: number;
  readonly order: number;
  readonly delayMs: number;
  readonly callback: () => void;
}

export class FakeClock implements Clock {
  #nowMs: number;
  readonly #startMs: number;
  readonly #entries = new Set<Entry>();
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
    return this.#entries.size;
  }

  timer(delayMs: number, callback: () => void): Timer {
    const entry: Entry = { deadlineMs: this.#nowMs + delayMs, order: this.#order++, delayMs, callback };
    this.#entries.add(entry);
    return {
      refresh: () => {
        entry.deadlineMs = this.#nowMs + delayMs;
        this.#entries.add(entry);
      },
      cancel: () => void this.#entries.delete(entry),
    };
  }

  /** Moves time on by `milliseconds`, firing what falls due on the way. */
  async advance(milliseconds: number): Promise<void> {
    const endMs = this.#nowMs + milliseconds;
    await settle();
    for (;;) {
      const next = this.#earliest();
      if (!next || next.deadlineMs > endMs) break;
      this.#entries.delete(next);
      this.#nowMs = Math.max(this.#nowMs, next.deadlineMs);
      next.callback();
      await settle();
    }
    this.#nowMs = endMs;
    await settle();
  }

  #earliest(): Entry | undefined {
    let earliest: Entry | undefined;
    for (const entry of this.#entries) {
      if (
        !earliest ||
        entry.deadlineMs < earliest.deadlineMs ||
        (entry.deadlineMs === earliest.deadlineMs && entry.order < earliest.order)
      ) {
        earliest = entry;
      }
    }
    return earliest;
  }
}

/** Lets everything that is ready run: microtasks, and one turn of the event loop. */
export async function settle(): Promise<void> {
  for (let turn = 0; turn < 3; turn += 1) await new Promise<void>((resolve) => setImmediate(resolve));
}
