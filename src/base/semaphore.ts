/**
 * A number of permits, with a queue. It bounds how much runs at once (requests to an origin) and how long a caller waits.
 * A caller that waits too long gets the error `overloaded`, because a request that queues without end looks like a hang
 * to its client.
 */
import { assert } from "./assert.ts";
import type { Clock, Timer } from "./clock.ts";
import { Linked, LinkedList } from "./linked-list.ts";
import { type ErrorSource, OrcaError } from "./orca-error.ts";

export interface Permit {
  /** Releases the permit. Exactly once. */
  release(): void;
}

class Waiter extends Linked {
  readonly weight: number;
  readonly grant: (permit: Permit) => void;
  timer: Timer | undefined;

  constructor(weight: number, grant: (permit: Permit) => void) {
    super();
    this.weight = weight;
    this.grant = grant;
  }
}

export class Semaphore {
  readonly #name: string;
  readonly #clock: Clock;
  readonly #queueMax: number;
  readonly #source: ErrorSource;
  readonly #waiters = new LinkedList<Waiter>();
  #permitsMax: number;
  #inUse = 0;

  /** `name` and `source` are for errors: what the permits are for. `queueMax` bounds how many callers may wait. */
  constructor(
    name: string,
    permitsMax: number,
    clock: Clock,
    queueMax = 100_000,
    source: ErrorSource = "origin",
  ) {
    assert(permitsMax > 0, "a semaphore has a permit");
    this.#name = name;
    this.#permitsMax = permitsMax;
    this.#clock = clock;
    this.#queueMax = queueMax;
    this.#source = source;
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

  /** A smaller number takes effect as permits are released. Permits in use stay valid. */
  resize(permitsMax: number): void {
    assert(permitsMax > 0, "a semaphore has a permit");
    this.#permitsMax = permitsMax;
    this.#serveWaiters();
  }

  /**
   * Takes `weight` permits as one. It is more than 1 where permits stand for bytes.
   * @throws OrcaError `overloaded` where they are not free within `timeoutMs`, or the queue is full.
   */
  acquire(timeoutMs: number, weight = 1): Promise<Permit> {
    assert(weight > 0 && weight <= this.#permitsMax, "a caller asks for no more permits than there are");
    const atOnce = this.tryAcquire(weight);
    if (atOnce) return Promise.resolve(atOnce);
    if (this.#waiters.size >= this.#queueMax) return Promise.reject(this.#overloaded("the queue is full"));
    const { promise, resolve, reject } = Promise.withResolvers<Permit>();
    const waiter = new Waiter(weight, resolve);
    waiter.timer = this.#clock.timer(timeoutMs, () => {
      this.#waiters.remove(waiter);
      reject(this.#overloaded(`no permit was free within ${timeoutMs} ms`));
      // Lighter waiters that fit may stand behind the one that timed out.
      this.#serveWaiters();
    });
    this.#waiters.push(waiter);
    return promise;
  }

  /** Takes permits that are free now, or undefined. It does not overtake waiters. */
  tryAcquire(weight = 1): Permit | undefined {
    if (this.#waiters.size > 0 || this.#inUse + weight > this.#permitsMax) return undefined;
    return this.#grant(weight);
  }

  /** Takes one permit, also where none is free: for a caller that has waited long enough. It overtakes waiters. */
  overdraw(): Permit {
    return this.#grant(1);
  }

  #grant(weight: number): Permit {
    this.#inUse += weight;
    let held = true;
    return {
      release: () => {
        assert(held, "a permit is released once");
        held = false;
        this.#inUse -= weight;
        this.#serveWaiters();
      },
    };
  }

  #serveWaiters(): void {
    for (let waiter = this.#waiters.oldest; waiter !== undefined; waiter = this.#waiters.oldest) {
      if (this.#inUse + waiter.weight > this.#permitsMax) return;
      this.#waiters.remove(waiter);
      waiter.timer?.cancel();
      waiter.grant(this.#grant(waiter.weight));
    }
  }

  #overloaded(reason: string): OrcaError {
    return new OrcaError(
      "overloaded",
      this.#source,
      `Cannot get a permit for ${this.#name}: ${reason} (limit ${this.#permitsMax})`,
    );
  }
}
