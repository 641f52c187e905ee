/**
 * Permits that all threads of the edge share, each with a queue of its own waiters. A permit that any thread releases wakes
 * all threads that have waiters, and each serves its own in the order of their arrival. Among threads there is no order: the
 * first to take a permit has it.
 *
 * Invariants:
 * 1. At most `permitsMax` permits are in use and at most `queueMax` callers wait, in all threads together.
 * 2. A thread with waiters is woken by each release. (a) It reads the number of releases; (b) it finds no permit; (c) it
 *    waits for another number than that of (a). A release between (a) and (c) ends the wait at once.
 */
import { assert } from "../../base/assert.ts";
import type { Clock, Timer } from "../../base/clock.ts";
import { Linked, LinkedList } from "../../base/linked-list.ts";
import { OrcaError } from "../../base/orca-error.ts";
import type { Permit } from "../../base/semaphore.ts";

const inUseAt = 0;
const waitingAt = 1;
/** A number that every release changes. */
const releasesAt = 2;
export const semaphoreWords = 3;

/** Adds one where fewer than `max` are counted. It never counts more for a moment, so no other thread is refused for that. */
export function tryTake(words: Int32Array<SharedArrayBuffer>, at: number, max: number): boolean {
  for (let known = Atomics.load(words, at); known < max; ) {
    const found = Atomics.compareExchange(words, at, known, known + 1);
    if (found === known) return true;
    known = found;
  }
  return false;
}

class Waiter extends Linked {
  readonly grant: (permit: Permit) => void;
  timer: Timer | undefined;

  constructor(grant: (permit: Permit) => void) {
    super();
    this.grant = grant;
  }
}

export class ProcessSemaphore {
  readonly #name: string;
  readonly #permitsMax: number;
  readonly #clock: Clock;
  readonly #queueMax: number;
  readonly #words: Int32Array<SharedArrayBuffer>;
  readonly #waiters = new LinkedList<Waiter>();
  #watches = false;

  /** `name` is for errors: what the permits are for. `words` are the same in all threads. */
  constructor(
    name: string,
    permitsMax: number,
    clock: Clock,
    queueMax: number,
    words: Int32Array<SharedArrayBuffer>,
  ) {
    this.#name = name;
    this.#permitsMax = permitsMax;
    this.#clock = clock;
    this.#queueMax = queueMax;
    this.#words = words;
  }

  /** @throws OrcaError `overloaded` where no permit is free within `timeoutMs`, or the queue is full. */
  acquire(timeoutMs: number): Promise<Permit> {
    if (this.#waiters.size === 0 && this.#tryTakePermit()) return Promise.resolve(this.#permit());
    if (!tryTake(this.#words, waitingAt, this.#queueMax))
      return Promise.reject(this.#overloaded("the queue is full"));
    const { promise, resolve, reject } = Promise.withResolvers<Permit>();
    const waiter = new Waiter(resolve);
    waiter.timer = this.#clock.timer(timeoutMs, () => {
      this.#remove(waiter);
      reject(this.#overloaded(`no permit was free within ${timeoutMs} ms`));
    });
    this.#waiters.push(waiter);
    this.#watch();
    return promise;
  }

  #tryTakePermit(): boolean {
    return tryTake(this.#words, inUseAt, this.#permitsMax);
  }

  /** For one that was taken. */
  #permit(): Permit {
    let held = true;
    return {
      release: () => {
        assert(held, "a permit is released once");
        held = false;
        Atomics.sub(this.#words, inUseAt, 1);
        Atomics.add(this.#words, releasesAt, 1);
        // Its own waiters, too, wait for this. Served here, they would keep the permits of all threads in the busiest one.
        Atomics.notify(this.#words, releasesAt);
      },
    };
  }

  #serveWaiters(): void {
    for (let waiter = this.#waiters.oldest; waiter && this.#tryTakePermit(); waiter = this.#waiters.oldest) {
      this.#remove(waiter);
      waiter.timer?.cancel();
      waiter.grant(this.#permit());
    }
  }

  #remove(waiter: Waiter): void {
    this.#waiters.remove(waiter);
    Atomics.sub(this.#words, waitingAt, 1);
  }

  /** Serves the waiters after each release of any thread, while there are some. */
  #watch(): void {
    while (!this.#watches && this.#waiters.size > 0) {
      const releases = Atomics.load(this.#words, releasesAt);
      this.#serveWaiters();
      if (this.#waiters.size === 0) return;
      const next = Atomics.waitAsync(this.#words, releasesAt, releases);
      if (!next.async) continue;
      this.#watches = true;
      void next.value.then(() => {
        this.#watches = false;
        this.#watch();
      });
    }
  }

  #overloaded(reason: string): OrcaError {
    return new OrcaError(
      "overloaded",
      "edge",
      `Cannot get a permit for ${this.#name}: ${reason} (limit ${this.#permitsMax})`,
    );
  }
}
