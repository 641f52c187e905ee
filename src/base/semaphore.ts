/**
 * A counted set of permits with a queue in front. It bounds what runs at once (requests to an origin) and how long
 * anybody waits for it; whoever waits too long is told that Orca is overloaded, because a request that queues
 * without end looks to its client like a hang.
 */
import { assert } from "./assert.ts";
import type { Clock, Timer } from "./clock.ts";
import { OrcaError } from "./orca-error.ts";

export interface Permit {
  /** Gives the permit back. Exactly once. */
  release(): void;
}

interface Waiter {
  readonly grant: (permit: Permit) => void;
  readonly timer: Timer;
}

export class Semaphore {
  readonly #name: string;
  readonly #clock: Clock;
  readonly #queueMax: number;
  readonly #waiters = new Set<Waiter>();
  #permitsMax: number;
  #inUse = 0;

  /** `name` says in errors what the permits are for. `queueMax` bounds how many may wait. */
  constructor(name: string, permitsMax: number, clock: Clock, queueMax = 100_000) {
    assert(permitsMax > 0, "a semaphore has a permit");
    this.#name = name;
    this.#permitsMax = permitsMax;
    this.#clock = clock;
    this.#queueMax = queueMax;
  }

  get inUse(): number {
    return this.#inUse;
  }

  get waiting(): number {
    return this.#waiters.size;
  }

  get permitsMax(): number {
    return this.#permitsMax;
  }

  /** A smaller number takes effect as permits come back; nobody is interrupted. */
  resize(permitsMax: number): void {
    assert(permitsMax > 0, "a semaphore has a permit");
    this.#permitsMax = permitsMax;
    this.#serveWaiters();
  }

  /** @throws OrcaError `overloaded` when no permit came free within `timeoutMs` or the queue is full. */
  acquire(timeoutMs: number): Promise<Permit> {
    if (this.#inUse < this.#permitsMax && this.#waiters.size === 0) return Promise.resolve(this.#grant());
    if (this.#waiters.size >= this.#queueMax) return Promise.reject(this.#overloaded("the queue is full"));
    const { promise, resolve, reject } = Promise.withResolvers<Permit>();
    const waiter: Waiter = {
      grant: resolve,
      timer: this.#clock.timer(timeoutMs, () => {
        this.#waiters.delete(waiter);
        reject(this.#overloaded(`none came free within ${timeoutMs} ms`));
      }),
    };
    this.#waiters.add(waiter);
    return promise;
  }

  #grant(): Permit {
    this.#inUse += 1;
    let held = true;
    return {
      release: () => {
        assert(held, "a permit is released once");
        held = false;
        this.#inUse -= 1;
        this.#serveWaiters();
      },
    };
  }

  #serveWaiters(): void {
    for (const waiter of this.#waiters) {
      if (this.#inUse >= this.#permitsMax) return;
      this.#waiters.delete(waiter);
      waiter.timer.cancel();
      waiter.grant(this.#grant());
    }
  }

  #overloaded(reason: string): OrcaError {
    return new OrcaError(
      "overloaded",
      "origin",
      `Cannot get a permit for ${this.#name}: ${reason} (limit ${this.#permitsMax})`,
    );
  }
}
