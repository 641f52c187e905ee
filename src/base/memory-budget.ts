/**
 * The budget of chunk bytes in memory, bounded by `memory.max_bytes`, and the segments that hold these bytes. Fills,
 * cached chunks, disk reads and slices on their way to a slow client share one budget, because only a common bound limits
 * their sum.
 *
 * Invariants:
 * 1. reservedBytes + bytes of the slabs in use + heap of entries above the allowance <= maxBytes, always. Reserved bytes
 *    are promised and not yet segments. A slab counts whole while any piece of it is in use, because that is the memory
 *    that the process holds.
 * 2. A segment's memory returns to the pool only when its last reference is released. A holder that has released its
 *    reference does not touch the memory again, because the next owner writes other bytes there.
 * 3. Waiters are served in the order of their arrival, so that small ones do not starve a large one. Urgent ones are served
 *    first: between two others at most {@link urgentMax}, whether they waited or not.
 */
import { assert } from "./assert.ts";
import type { Clock, Timer } from "./clock.ts";
import { Linked, LinkedList } from "./linked-list.ts";
import { OrcaError } from "./orca-error.ts";
import { largestPieceBytes, type Piece, SegmentPool, type Slab, slabSizeBytes } from "./segment-pool.ts";
import { MiB } from "./units.ts";

/** Size of a full segment. The last segment of a chunk is only as long as the bytes it holds. */
export const segmentSizeBytes = slabSizeBytes;

/** This much heap of entries is part of the 256 MiB that the process needs beside `memory.max_bytes`. */
export const heapAllowanceBytes = 64 * MiB;

/** So many urgent reservations overtake another one that waits. */
const urgentMax = 64;

/**
 * A piece of memory with bytes of one chunk. It counts against the budget while there is a reference to it, and starts
 * with one. The memory is shared with the disk thread, which hashes and writes it in place. It is its piece itself, and
 * has none beside it: a hit of a small object would read one object more.
 */
export class Segment implements Piece {
  readonly bytes: Buffer;
  /** @internal */
  readonly slab: Slab;
  /** @internal */
  readonly offset: number;
  readonly #budget: MemoryBudget;
  #references = 1;

  /** @internal For {@link Reservation.takeSegment}. */
  constructor({ bytes, slab, offset }: Piece, budget: MemoryBudget) {
    this.bytes = bytes;
    this.slab = slab;
    this.offset = offset;
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
    if (this.#references === 0) this.#budget.releasePiece(this);
    else if (this.#references === 1) this.#budget.lastHolderLeft();
  }
}

/**
 * Memory that is promised to one owner, for bytes that are divided as a chunk is: full segments, and a shorter one for the
 * remainder. The owner takes segments out of it, and `release` frees the rest.
 */
export class Reservation {
  readonly #budget: MemoryBudget;
  #fullSegments: number;
  /** Taken from the pool at once, because only that shows whether a small piece costs a new slab. */
  #remainder: Piece | undefined;

  /** @internal For {@link MemoryBudget}. */
  constructor(budget: MemoryBudget, fullSegments: number, remainder: Piece | undefined) {
    this.#budget = budget;
    this.#fullSegments = fullSegments;
    this.#remainder = remainder;
  }

  /** Bytes without a segment so far. */
  get bytes(): number {
    return this.#fullSegments * segmentSizeBytes + (this.#remainder?.bytes.length ?? 0);
  }

  /** A segment with one reference: a full one ({@link segmentSizeBytes}), or the remainder of the reservation. */
  takeSegment(lengthBytes: number): Segment {
    if (lengthBytes === segmentSizeBytes) {
      assert(this.#fullSegments > 0, "a segment fits the rest of its reservation");
      this.#fullSegments -= 1;
      return this.#budget.allotSegment();
    }
    const remainder = this.#remainder;
    assert(remainder?.bytes.length === lengthBytes, "a segment is full or the remainder of its reservation");
    this.#remainder = undefined;
    return new Segment(remainder, this.#budget);
  }

  /** Releases the bytes without a segment. A second call does nothing. */
  release(): void {
    const { bytes } = this;
    const remainder = this.#remainder;
    const fullBytes = this.#fullSegments * segmentSizeBytes;
    this.#fullSegments = 0;
    this.#remainder = undefined;
    if (bytes > 0) this.#budget.releaseReserved(fullBytes, remainder);
  }
}

/**
 * Makes room by evicting cached chunks, one per call. Returns false where no eviction would free memory at once. It may
 * have evicted chunks all the same: their memory is freed, and waiters are served, when their users finish. `wholeSlabs`
 * says that a small piece alone does not help, only the whole slab that it is a part of.
 */
export type Reclaimer = (wholeSlabs: boolean) => boolean;

/**
 * Cancels work in progress, such as commits that have not started, to free `missingBytes`. It is called when a reservation
 * has waited half of its time. The memory is freed when the owners of the work notice.
 */
export type LastResort = (missingBytes: number) => void;

class Waiter extends Linked {
  readonly bytes: number;
  readonly grant: (reservation: Reservation) => void;
  timer: Timer | undefined;

  constructor(bytes: number, grant: (reservation: Reservation) => void) {
    super();
    this.bytes = bytes;
    this.grant = grant;
  }
}

export interface MemoryBudgetOptions {
  readonly maxBytes: number;
  readonly clock: Clock;
  /** How many reservations may wait at once. One more fails at once with `overloaded`. */
  readonly waitersMax?: number;
  /** Overwrites memory that returns to the pool, so that a use after release shows as wrong bytes. For tests. */
  readonly poison?: boolean;
}

export class MemoryBudget {
  readonly maxBytes: number;
  readonly #clock: Clock;
  readonly #waitersMax: number;
  readonly #poison: boolean;
  readonly #pool = new SegmentPool();
  readonly #waiters = new LinkedList<Waiter>();
  readonly #urgentWaiters = new LinkedList<Waiter>();
  /** Urgent reservations since others wait and none of them was served. */
  #overtook = 0;
  readonly #reclaimers: Reclaimer[] = [];
  readonly #lastResorts: LastResort[] = [];
  #reservedBytes = 0;
  #heapBytes = 0;
  #granting = false;

  constructor(options: MemoryBudgetOptions) {
    this.maxBytes = options.maxBytes;
    this.#clock = options.clock;
    this.#waitersMax = options.waitersMax ?? 10_000;
    this.#poison = options.poison ?? false;
  }

  /** The bytes that count against {@link maxBytes}. Chunk bytes change it by whole slabs of 1 MiB. */
  get usedBytes(): number {
    return this.#reservedBytes + this.#pool.bytesInUse + Math.max(0, this.#heapBytes - heapAllowanceBytes);
  }

  get reservedBytes(): number {
    return this.#reservedBytes;
  }

  get waiting(): number {
    return this.#waiters.size + this.#urgentWaiters.size;
  }

  /** Reclaimers are called in the order in which they were added. Add the cheapest loss first. */
  addReclaimer(reclaimer: Reclaimer): void {
    this.#reclaimers.push(reclaimer);
  }

  addLastResort(lastResort: LastResort): void {
    this.#lastResorts.push(lastResort);
  }

  /**
   * A reservation at once, by reclaiming where that is needed, or undefined. It does not overtake waiters, unless it is urgent
   * and they are not.
   */
  tryReserve(bytes: number, isUrgent = false): Reservation | undefined {
    assert(bytes >= 0, "a reservation is not negative");
    const mustWait = isUrgent
      ? this.#urgentWaiters.size > 0 || !this.#mayOvertake
      : this.#urgentWaiters.size + this.#waiters.size > 0;
    if (mustWait || !this.#makeRoom(bytes)) return undefined;
    this.#countServed(isUrgent);
    return this.#grant(bytes);
  }

  /**
   * A reservation, for which it waits up to `timeoutMs`. `isUrgent`: before those that are not.
   * @throws OrcaError `overloaded` where the time is over, too many others wait, or `bytes` can never fit.
   */
  reserve(bytes: number, timeoutMs: number, isUrgent = false): Promise<Reservation> {
    const atOnce = this.tryReserve(bytes, isUrgent);
    if (atOnce) return Promise.resolve(atOnce);
    if (!this.#canEverFit(bytes)) return Promise.reject(this.#overloaded(bytes, "it is more than the limit"));
    if (this.waiting >= this.#waitersMax) {
      return Promise.reject(this.#overloaded(bytes, `${this.waiting} other reservations wait`));
    }
    const waiters = isUrgent ? this.#urgentWaiters : this.#waiters;
    const { promise, resolve, reject } = Promise.withResolvers<Reservation>();
    const halfMs = timeoutMs / 2;
    const timeOut = (): void => {
      waiters.remove(waiter);
      reject(this.#overloaded(bytes, `not enough was released within ${timeoutMs} ms`));
      // Smaller waiters that fit may stand behind the one that timed out.
      this.#serveWaiters();
    };
    const halfTimeOver = (): void => {
      waiter.timer = this.#clock.timer(halfMs, timeOut);
      for (const lastResort of this.#lastResorts) lastResort(bytes);
    };
    const waiter = new Waiter(bytes, resolve);
    waiter.timer = this.#clock.timer(halfMs, halfTimeOver);
    waiters.push(waiter);
    return promise;
  }

  /**
   * Charges the heap that an entry costs besides its chunk bytes, by reclaiming where that is needed. Returns false if
   * there is no room; then nothing is charged.
   */
  tryCharge(heapBytes: number): boolean {
    this.#heapBytes += heapBytes;
    for (const reclaim of this.#reclaimers) {
      while (this.usedBytes > this.maxBytes) {
        if (!reclaim(false)) break;
      }
    }
    if (this.usedBytes <= this.maxBytes) return true;
    this.#heapBytes -= heapBytes;
    return false;
  }

  /** The entry was removed. The caller then releases its chunk, which serves the waiters. */
  discharge(heapBytes: number): void {
    this.#heapBytes -= heapBytes;
    assert(this.#heapBytes >= 0, "no more is discharged than was charged");
  }

  /** Like {@link discharge}, for an entry without a chunk: waiters try again. */
  dischargeAlone(heapBytes: number): void {
    this.discharge(heapBytes);
    this.#serveWaiters();
  }

  /** @internal For {@link Reservation}: a full segment, whose bytes are reserved already. */
  allotSegment(): Segment {
    this.#reservedBytes -= segmentSizeBytes;
    return new Segment(this.#pool.take(segmentSizeBytes), this);
  }

  /** @internal For {@link Segment}: its last reference was released. */
  releasePiece(piece: Piece): void {
    if (this.#poison) piece.bytes.fill(0xdb);
    this.#pool.give(piece);
    this.#serveWaiters();
  }

  /**
   * @internal For {@link Segment}: one holder is left. If that is the memory tier, it can evict the chunk now, so waiters
   * try again. Without that: (1) a fill waits while all chunks in the tier are being committed; (2) the commits end,
   * which frees nothing, because the tier still holds the chunks; (3) the fill waits although the tier could evict them.
   */
  lastHolderLeft(): void {
    if (this.waiting > 0) this.#serveWaiters();
  }

  /** @internal For {@link Reservation}. */
  releaseReserved(reservedBytes: number, remainder: Piece | undefined): void {
    this.#reservedBytes -= reservedBytes;
    assert(this.#reservedBytes >= 0, "no more is released than was reserved");
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

  /** Whether `bytes` can be granted now. Every eviction may change the answer, because it may free a fitting piece. */
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
   * Reclaiming releases segments, which calls this again. The flag turns that inner call into nothing, and the outer loop
   * sees the room.
   */
  #serveWaiters(): void {
    if (this.#granting || this.waiting === 0) return;
    this.#granting = true;
    while (this.waiting > 0) {
      const isUrgent = this.#urgentWaiters.size > 0 && this.#mayOvertake;
      const waiters = isUrgent ? this.#urgentWaiters : this.#waiters;
      const waiter = waiters.oldest;
      if (waiter === undefined || !this.#makeRoom(waiter.bytes)) break;
      waiters.remove(waiter);
      this.#countServed(isUrgent);
      waiter.timer?.cancel();
      waiter.grant(this.#grant(waiter.bytes));
    }
    this.#granting = false;
  }

  get #mayOvertake(): boolean {
    return this.#waiters.size === 0 || this.#overtook < urgentMax;
  }

  #countServed(isUrgent: boolean): void {
    this.#overtook = isUrgent && this.#waiters.size > 0 ? this.#overtook + 1 : 0;
  }

  #overloaded(bytes: number, reason: string): OrcaError {
    return new OrcaError(
      "overloaded",
      "memory",
      `Cannot reserve ${bytes} bytes of memory: ${reason} (memory.max_bytes ${this.maxBytes}, in use ${this.usedBytes})`,
    );
  }
}
