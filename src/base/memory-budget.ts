/**
 * The one number that bounds chunk bytes in memory (DESIGN invariant: bytes never pass `memory.max_bytes`), and the
 * segments those bytes live in. Fills, cached chunks, disk reads and slices on their way to a slow client all draw
 * from the same budget, because a bound on each of them apart is a bound on none.
 *
 * Invariants:
 * 1. reservedBytes + bytes of the slabs in use <= maxBytes, always. reservedBytes is promised, not yet segments. A
 *    slab counts whole while any piece of it is in use, because that is the memory the process holds.
 * 2. A segment's memory goes back to the pool only when its last reference is released, and nobody who released
 *    a reference touches the memory again: the next owner writes other bytes into the same place.
 * 3. Waiters are served in the order they came. A large one is not starved by small ones behind it.
 */
import { assert } from "./assert.ts";
import type { Clock, Timer } from "./clock.ts";
import { OrcaError } from "./orca-error.ts";
import { largestPieceBytes, type Piece, SegmentPool, slabSizeBytes } from "./segment-pool.ts";

/** Size of a full segment. The last segment of a chunk is as long as the bytes it holds. */
export const segmentSizeBytes = slabSizeBytes;

/**
 * A piece of memory that holds bytes of one chunk, counted against the budget while anybody refers to it. It starts
 * with one reference. The memory is shared with the disk thread, which hashes and writes it where it lies.
 */
export class Segment {
  readonly bytes: Buffer;
  readonly #piece: Piece;
  readonly #budget: MemoryBudget;
  #references = 1;

  /** @internal Made by {@link Reservation.takeSegment} alone. */
  constructor(piece: Piece, budget: MemoryBudget) {
    this.bytes = piece.bytes;
    this.#piece = piece;
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
    if (this.#references === 0) this.#budget.takeBack(this.#piece);
    else if (this.#references === 1) this.#budget.lastHolderLeft();
  }
}

/**
 * Memory promised to one owner, for bytes that are cut as a chunk is: full segments and one shorter one for what
 * remains. Segments are taken out of it; what is left is given back by `release`.
 */
export class Reservation {
  readonly #budget: MemoryBudget;
  #fullSegments: number;
  /** Set aside from the start: whether a small piece costs a slab is known only when it is cut. */
  #remainder: Piece | undefined;

  /** @internal Made by {@link MemoryBudget} alone. */
  constructor(budget: MemoryBudget, fullSegments: number, remainder: Piece | undefined) {
    this.#budget = budget;
    this.#fullSegments = fullSegments;
    this.#remainder = remainder;
  }

  /** The bytes for which no segment has been taken yet. */
  get bytes(): number {
    return this.#fullSegments * segmentSizeBytes + (this.#remainder?.bytes.length ?? 0);
  }

  /** A segment with one reference: full ({@link segmentSizeBytes}), or exactly the remainder of what was reserved. */
  takeSegment(lengthBytes: number): Segment {
    if (lengthBytes === segmentSizeBytes) {
      assert(this.#fullSegments > 0, "a segment fits what is left of its reservation");
      this.#fullSegments -= 1;
      return this.#budget.allotSegment();
    }
    const remainder = this.#remainder;
    assert(remainder?.bytes.length === lengthBytes, "a segment is full or the remainder of its reservation");
    this.#remainder = undefined;
    return new Segment(remainder, this.#budget);
  }

  /** Gives back what no segment was taken for. May be called again; the second call finds nothing left. */
  release(): void {
    const { bytes } = this;
    const remainder = this.#remainder;
    const fullBytes = this.#fullSegments * segmentSizeBytes;
    this.#fullSegments = 0;
    this.#remainder = undefined;
    if (bytes > 0) this.#budget.giveBack(fullBytes, remainder);
  }
}

/**
 * What can make room by letting go of cached chunks, one call at a time. False when it has nothing to let go of that
 * would free memory at once; what it let go of all the same is freed, and waiters are served, as its users finish.
 * `wholeSlabs` says that a small piece does not help by itself, only the whole slab that it is a part of.
 */
export type Reclaimer = (wholeSlabs: boolean) => boolean;

/**
 * What can give up work in progress for `missingBytes`, such as commits that have not started. It is asked when a
 * reservation has waited half of its time; what it lets go of is freed as its owners notice.
 */
export type LastResort = (missingBytes: number) => void;

interface Waiter {
  readonly bytes: number;
  readonly grant: (reservation: Reservation) => void;
  timer: Timer;
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
  readonly #pool = new SegmentPool();
  readonly #waiters = new Set<Waiter>();
  readonly #reclaimers: Reclaimer[] = [];
  readonly #lastResorts: LastResort[] = [];
  #reservedBytes = 0;
  #granting = false;

  constructor(options: MemoryBudgetOptions) {
    this.maxBytes = options.maxBytes;
    this.#clock = options.clock;
    this.#waitersMax = options.waitersMax ?? 10_000;
    this.#poison = options.poison ?? false;
  }

  /** What counts against {@link maxBytes}. Grows and shrinks by whole slabs of 1 MiB. */
  get usedBytes(): number {
    return this.#reservedBytes + this.#pool.bytesInUse;
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

  addLastResort(lastResort: LastResort): void {
    this.#lastResorts.push(lastResort);
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
    if (!this.#canEverFit(bytes)) return Promise.reject(this.#overloaded(bytes, "more than there is"));
    if (this.#waiters.size >= this.#waitersMax) {
      return Promise.reject(this.#overloaded(bytes, `${this.#waiters.size} wait already`));
    }
    const { promise, resolve, reject } = Promise.withResolvers<Reservation>();
    const halfMs = timeoutMs / 2;
    const giveUp = (): void => {
      this.#waiters.delete(waiter);
      reject(this.#overloaded(bytes, `nothing given back within ${timeoutMs} ms`));
      // The one that gave up may have stood in front of smaller ones that fit.
      this.#serveWaiters();
    };
    const press = (): void => {
      waiter.timer = this.#clock.timer(halfMs, giveUp);
      for (const lastResort of this.#lastResorts) lastResort(bytes);
    };
    const waiter: Waiter = { bytes, grant: resolve, timer: this.#clock.timer(halfMs, press) };
    this.#waiters.add(waiter);
    return promise;
  }

  /** @internal For {@link Reservation}: a full segment whose bytes are reserved already. */
  allotSegment(): Segment {
    this.#reservedBytes -= segmentSizeBytes;
    return new Segment(this.#pool.take(segmentSizeBytes), this);
  }

  /** @internal For {@link Segment}: its last reference is gone. */
  takeBack(piece: Piece): void {
    if (this.#poison) piece.bytes.fill(0xdb);
    this.#pool.give(piece);
    this.#serveWaiters();
  }

  /**
   * @internal For {@link Segment}: one holder is left. If that is the memory tier, it can let go now, and nobody would
   * tell those who wait: (1) a fill waits while all chunks in the tier are still being committed; (2) the commits end,
   * which frees nothing, because the tier holds on; (3) without another look the fill waits in front of a tier full of
   * chunks that it could have had.
   */
  lastHolderLeft(): void {
    if (this.#waiters.size > 0) this.#serveWaiters();
  }

  /** @internal For {@link Reservation}. */
  giveBack(reservedBytes: number, remainder: Piece | undefined): void {
    this.#reservedBytes -= reservedBytes;
    assert(this.#reservedBytes >= 0, "no more is given back than was reserved");
    if (remainder) this.#pool.give(remainder);
    this.#serveWaiters();
  }

  #grant(bytes: number): Reservation {
    const remainderBytes = bytes % segmentSizeBytes;
    const fullBytes = bytes - remainderBytes;
    this.#reservedBytes += fullBytes;
    const remainder = remainderBytes > 0 ? this.#pool.take(remainderBytes) : undefined;
    assert(this.usedBytes <= this.maxBytes, "bytes in memory never pass memory.max_bytes");
    return new Reservation(this, fullBytes / segmentSizeBytes, remainder);
  }

  #canEverFit(bytes: number): boolean {
    return Math.ceil(bytes / segmentSizeBytes) * segmentSizeBytes <= this.maxBytes;
  }

  /** Whether `bytes` can be granted now. Asked anew after every chunk let go of, which may free a fitting piece. */
  #fits(bytes: number): boolean {
    const remainderBytes = bytes % segmentSizeBytes;
    const growthBytes = remainderBytes > 0 ? this.#pool.growthFor(remainderBytes) : 0;
    return this.usedBytes + (bytes - remainderBytes) + growthBytes <= this.maxBytes;
  }

  #makeRoom(bytes: number): boolean {
    if (!this.#canEverFit(bytes)) return false;
    const wholeSlabs = bytes > largestPieceBytes;
    for (const reclaim of this.#reclaimers) {
      while (!this.#fits(bytes)) {
        if (!reclaim(wholeSlabs)) break;
      }
    }
    return this.#fits(bytes);
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
