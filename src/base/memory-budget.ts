/**
 * The one number that bounds chunk bytes in memory (DESIGN invariant: bytes never pass `memory.max_bytes`), and the
 * segments those bytes live in. Fills, cached chunks, disk reads and slices on their way to a slow client all draw
 * from the same budget, because a bound on each of them apart is a bound on none.
 *
 * Invariants:
 * 1. reservedBytes + segmentBytes <= maxBytes, always. reservedBytes is promised, not yet segments.
 * 2. A segment's memory goes back to the pool only when its last reference is released, and nobody who released
 *    a reference touches the memory again: the next owner writes other bytes into the same place.
 * 3. Waiters are served in the order they came. A large one is not starved by small ones behind it.
 */
import { assert } from "./assert.ts";
import type { Clock, Timer } from "./clock.ts";
import { OrcaError } from "./orca-error.ts";
import { MiB } from "./units.ts";

/** Size of a full segment. The last segment of a chunk is as long as the bytes it holds. */
export const segmentSizeBytes = MiB;

/**
 * A piece of memory that holds bytes of one chunk, counted against the budget while anybody refers to it. It starts
 * with one reference. The memory is shared with the disk thread, which hashes and writes it where it lies.
 */
export class Segment {
  readonly bytes: Buffer;
  readonly #budget: MemoryBudget;
  #references = 1;

  /** @internal Made by {@link Reservation.takeSegment} alone. */
  constructor(bytes: Buffer, budget: MemoryBudget) {
    this.bytes = bytes;
    this.#budget = budget;
  }

  get references(): number {
    return this.#references;
  }

  retain(): this {
    assert(this.#references > 0, "a released segment is not retained again");
    this.#references += 1;
    return this;
  }

  release(): void {
    assert(this.#references > 0, "a segment is released once per reference");
    this.#references -= 1;
    if (this.#references === 0) this.#budget.reclaimSegment(this.bytes);
  }
}

/** Bytes promised to one owner. Segments are taken out of it; what is left is given back by `release`. */
export class Reservation {
  readonly #budget: MemoryBudget;
  #bytes: number;

  /** @internal Made by {@link MemoryBudget} alone. */
  constructor(budget: MemoryBudget, bytes: number) {
    this.#budget = budget;
    this.#bytes = bytes;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** A segment of `lengthBytes` (at most {@link segmentSizeBytes}) with one reference, out of this reservation. */
  takeSegment(lengthBytes: number): Segment {
    assert(lengthBytes > 0 && lengthBytes <= segmentSizeBytes, "a segment holds 1 B to 1 MiB");
    assert(lengthBytes <= this.#bytes, "a segment fits what is left of its reservation");
    this.#bytes -= lengthBytes;
    return this.#budget.allotSegment(lengthBytes);
  }

  /** Gives back what no segment was taken for. May be called again; the second call finds nothing left. */
  release(): void {
    const bytes = this.#bytes;
    this.#bytes = 0;
    if (bytes > 0) this.#budget.giveBack(bytes);
  }
}

/** What can make room: called with the bytes still missing, it lets go of cached chunks until they may be free. */
export type Reclaimer = (missingBytes: number) => void;

interface Waiter {
  readonly bytes: number;
  readonly grant: (reservation: Reservation) => void;
  readonly timer: Timer;
}

export interface MemoryBudgetOptions {
  readonly maxBytes: number;
  readonly clock: Clock;
  /** How many reservations may wait at once; one more is refused at once as overloaded. */
  readonly waitersMax?: number;
  /** Overwrites memory that goes back to the pool, so that a use after release shows as wrong bytes. For tests. */
  readonly poison?: boolean;
}

export class MemoryBudget {
  readonly maxBytes: number;
  readonly #clock: Clock;
  readonly #waitersMax: number;
  readonly #poison: boolean;
  readonly #pool: Buffer[] = [];
  readonly #waiters = new Set<Waiter>();
  #reclaimers: Reclaimer[] = [];
  #reservedBytes = 0;
  #segmentBytes = 0;
  #granting = false;

  constructor(options: MemoryBudgetOptions) {
    this.maxBytes = options.maxBytes;
    this.#clock = options.clock;
    this.#waitersMax = options.waitersMax ?? 10_000;
    this.#poison = options.poison ?? false;
  }

  get usedBytes(): number {
    return this.#reservedBytes + this.#segmentBytes;
  }

  get reservedBytes(): number {
    return this.#reservedBytes;
  }

  get waiting(): number {
    return this.#waiters.size;
  }

  /** Reclaimers are asked in the order they were added, the cheapest loss first. */
  addReclaimer(reclaimer: Reclaimer): void {
    this.#reclaimers.push(reclaimer);
  }

  /** A reservation now, making room by reclaiming, or undefined. Never overtakes those who wait. */
  tryReserve(bytes: number): Reservation | undefined {
    assert(bytes >= 0, "a reservation is not negative");
    if (this.#waiters.size > 0 || !this.#makeRoom(bytes)) return undefined;
    return this.#grant(bytes);
  }

  /**
   * A reservation, waiting up to `timeoutMs` for others to give back.
   * @throws OrcaError `overloaded` when the time runs out, too many wait, or `bytes` can never fit.
   */
  reserve(bytes: number, timeoutMs: number): Promise<Reservation> {
    const atOnce = this.tryReserve(bytes);
    if (atOnce) return Promise.resolve(atOnce);
    if (bytes > this.maxBytes || this.#waiters.size >= this.#waitersMax) {
      return Promise.reject(this.#overloaded(bytes, "too large or too many waiting"));
    }
    const { promise, resolve, reject } = Promise.withResolvers<Reservation>();
    const waiter: Waiter = {
      bytes,
      grant: resolve,
      timer: this.#clock.timer(timeoutMs, () => {
        this.#waiters.delete(waiter);
        reject(this.#overloaded(bytes, `nothing given back within ${timeoutMs} ms`));
        // The one that gave up may have stood in front of smaller ones that fit.
        this.#serveWaiters();
      }),
    };
    this.#waiters.add(waiter);
    return promise;
  }

  /** @internal For {@link Reservation}: memory for a segment whose bytes are reserved already. */
  allotSegment(lengthBytes: number): Segment {
    this.#reservedBytes -= lengthBytes;
    this.#segmentBytes += lengthBytes;
    const pooled = lengthBytes === segmentSizeBytes ? this.#pool.pop() : undefined;
    return new Segment(pooled ?? Buffer.from(new SharedArrayBuffer(lengthBytes)), this);
  }

  /** @internal For {@link Segment}: its last reference is gone. */
  reclaimSegment(bytes: Buffer): void {
    if (this.#poison) bytes.fill(0xdb);
    this.#segmentBytes -= bytes.length;
    // The pool needs no bound of its own: pooled plus live segments never were more than maxBytes.
    if (bytes.length === segmentSizeBytes) this.#pool.push(bytes);
    this.#serveWaiters();
  }

  /** @internal For {@link Reservation}. */
  giveBack(bytes: number): void {
    this.#reservedBytes -= bytes;
    assert(this.#reservedBytes >= 0, "no more is given back than was reserved");
    this.#serveWaiters();
  }

  #grant(bytes: number): Reservation {
    this.#reservedBytes += bytes;
    assert(this.usedBytes <= this.maxBytes, "bytes in memory never pass memory.max_bytes");
    return new Reservation(this, bytes);
  }

  #makeRoom(bytes: number): boolean {
    if (bytes > this.maxBytes) return false;
    for (const reclaim of this.#reclaimers) {
      const missingBytes = this.usedBytes + bytes - this.maxBytes;
      if (missingBytes <= 0) return true;
      reclaim(missingBytes);
    }
    return this.usedBytes + bytes <= this.maxBytes;
  }

  /**
   * Reclaiming releases segments, which calls back into here: the flag turns that inner call into nothing, and the
   * loop outside sees the room it made.
   */
  #serveWaiters(): void {
    if (this.#granting || this.#waiters.size === 0) return;
    this.#granting = true;
    for (const waiter of this.#waiters) {
      if (!this.#makeRoom(waiter.bytes)) break;
      this.#waiters.delete(waiter);
      waiter.timer.cancel();
      waiter.grant(this.#grant(waiter.bytes));
    }
    this.#granting = false;
  }

  #overloaded(bytes: number, reason: string): OrcaError {
    return new OrcaError(
      "overloaded",
      "memory",
      `Cannot reserve ${bytes} bytes of memory: ${reason} (memory.max_bytes ${this.maxBytes}, in use ${this.usedBytes})`,
    );
  }
}
