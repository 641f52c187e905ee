/**
 * The memory that readers hold for clients and peers that have not taken their bytes yet. It is bounded, because a client
 * that reads nothing would else keep memory from fills and other readers for as long as it likes.
 *
 * A reader pins the segment that its slice lies in, and copies nothing. A segment is 1 MiB, so a few hundred slow clients
 * would pin everything. Once a quarter of memory is pinned, further readers copy the next 64 KiB into a place of their
 * own and pin nothing. These places are cut from segments that hold nothing else, or a copy could keep a whole slab.
 *
 * Invariants:
 * 1. Pinned slabs take at most a quarter of the budget, and segments with copies at most another quarter.
 * 2. A slab counts as pinned once, however many readers pin its segments.
 */

import { assert } from "./assert.ts";
import type { Clock } from "./clock.ts";
import { Linked, LinkedList } from "./linked-list.ts";
import { type MemoryBudget, type Reservation, type Segment, segmentSizeBytes } from "./memory-budget.ts";
import { type Permit, Semaphore } from "./semaphore.ts";

/** Longest slice of a reader that pins nothing. */
export const copySizeBytes = 64 * 1024;
const copiesPerSegment = segmentSizeBytes / copySizeBytes;

/** A further reader gets `overloaded` at once. */
const waitersMax = 10_000;

/** Of the budget: pinned slabs, and segments with copies. */
const shareOfEach = 1 / 4;

/** How many readers a budget of `maxBytes` holds at once, however slow their clients are. */
export function readersHeldBy(maxBytes: number): number {
  return slabsMaxOf(maxBytes) * copiesPerSegment;
}

/** The smallest budget that holds so many readers. */
export function budgetFor(readers: number): number {
  return (Math.ceil(readers / copiesPerSegment) * segmentSizeBytes) / shareOfEach;
}

function slabsMaxOf(maxBytes: number): number {
  return Math.max(1, Math.floor((maxBytes * shareOfEach) / segmentSizeBytes));
}

/** A segment that is divided into places for copies. */
class Sheet extends Linked {
  readonly segment: Segment;
  /** Where the free places begin. */
  readonly freeOffsets = Array.from({ length: copiesPerSegment }, (_, index) => index * copySizeBytes);

  constructor(segment: Segment) {
    super();
    this.segment = segment;
  }
}

/** A reader that has a permit, and waits for memory or for a place that another reader releases. */
class Waiter extends Linked {
  readonly permit: Permit;
  readonly give: (copy: Copy) => void;

  constructor(permit: Permit, give: (copy: Copy) => void) {
    super();
    this.permit = permit;
    this.give = give;
  }
}

/** A place for the bytes of one slice. */
export class Copy {
  readonly bytes: Buffer;
  readonly #sheet: Sheet;
  readonly #offset: number;
  readonly #permit: Permit;
  readonly #memory: ReaderMemory;

  /** @internal For {@link ReaderMemory}. */
  constructor(sheet: Sheet, permit: Permit, memory: ReaderMemory) {
    const offset = sheet.freeOffsets.pop();
    assert(offset !== undefined, "a sheet in use has a free place");
    this.#offset = offset;
    this.bytes = sheet.segment.bytes.subarray(offset, offset + copySizeBytes);
    this.#sheet = sheet;
    this.#permit = permit;
    this.#memory = memory;
  }

  /** Exactly once. */
  release(): void {
    this.#memory.releasePlace(this.#sheet, this.#offset);
    this.#permit.release();
  }
}

export class ReaderMemory {
  readonly stats = { copies: 0 };
  readonly #budget: MemoryBudget;
  readonly #slabsMax: number;
  #slabsPinned = 0;
  readonly #places: Semaphore;
  readonly #sheets = new Set<Sheet>();
  /** Those of the sheets with a free place. */
  readonly #freeSheets = new LinkedList<Sheet>();
  readonly #waiters = new LinkedList<Waiter>();

  constructor(budget: MemoryBudget, clock: Clock) {
    this.#budget = budget;
    this.#slabsMax = slabsMaxOf(budget.maxBytes);
    const placesMax = readersHeldBy(budget.maxBytes);
    this.#places = new Semaphore("bytes for a slow client", placesMax, clock, waitersMax, "memory");
  }

  /** Bytes of pinned slabs and of segments with copies. */
  get heldBytes(): number {
    return (this.#slabsPinned + this.#sheets.size) * segmentSizeBytes;
  }

  /** Readers that wait for a place. */
  get waiting(): number {
    return this.#places.waiting;
  }

  /** Whether one more slab can be pinned. */
  get hasRoomForPin(): boolean {
    return this.#slabsPinned < this.#slabsMax;
  }

  /** Pins `segment`, which the caller has retained, if the bound allows it. */
  tryPin({ slab }: Segment): boolean {
    if (slab.pins === 0) {
      if (!this.hasRoomForPin) return false;
      this.#slabsPinned += 1;
    }
    slab.pins += 1;
    return true;
  }

  unpin({ slab }: Segment): void {
    assert(slab.pins > 0, "a segment is unpinned once for each pin");
    slab.pins -= 1;
    if (slab.pins === 0) this.#slabsPinned -= 1;
  }

  /** A place for a copy, if there is one now. */
  tryCopy(): Copy | undefined {
    const permit = this.#places.tryAcquire();
    if (!permit) return undefined;
    const reservation = this.#freeSheets.size > 0 ? undefined : this.#budget.tryReserve(segmentSizeBytes);
    if (this.#freeSheets.size > 0 || reservation) return this.#place(permit, reservation);
    permit.release();
    return undefined;
  }

  /** @throws OrcaError `overloaded` if there is no place within `timeoutMs`, or no memory for it within as much again. */
  async copy(timeoutMs: number): Promise<Copy> {
    const permit = await this.#places.acquire(timeoutMs);
    if (this.#freeSheets.size > 0) return this.#place(permit);
    const { promise, resolve, reject } = Promise.withResolvers<Copy>();
    const waiter = new Waiter(permit, resolve);
    this.#waiters.push(waiter);
    void this.#awaitMemory(waiter, timeoutMs).catch(reject);
    return promise;
  }

  /** @internal For {@link Copy}. */
  releasePlace(sheet: Sheet, offset: number): void {
    sheet.freeOffsets.push(offset);
    if (sheet.list === undefined) this.#freeSheets.push(sheet);
    this.#serveWaiters();
    if (sheet.freeOffsets.length < copiesPerSegment) return;
    this.#freeSheets.remove(sheet);
    this.#sheets.delete(sheet);
    sheet.segment.release();
  }

  /** The waiter may get a place meanwhile. The wait in the queue of the budget then ends for nothing. */
  async #awaitMemory(waiter: Waiter, timeoutMs: number): Promise<void> {
    let reservation: Reservation;
    try {
      reservation = await this.#budget.reserve(segmentSizeBytes, timeoutMs);
    } catch (thrown) {
      if (waiter.list === undefined) return;
      this.#waiters.remove(waiter);
      waiter.permit.release();
      throw thrown;
    }
    if (waiter.list === undefined) return reservation.release();
    this.#waiters.remove(waiter);
    waiter.give(this.#place(waiter.permit, reservation));
    this.#serveWaiters();
  }

  #serveWaiters(): void {
    while (this.#freeSheets.size > 0) {
      const waiter = this.#waiters.shift();
      if (!waiter) return;
      waiter.give(this.#place(waiter.permit));
    }
  }

  /**
   * A place on a sheet in use, else on a new one of `reservation`. A sheet is added only while all others are full, and
   * there are no more permits than places on as many sheets as invariant 1 allows.
   */
  #place(permit: Permit, reservation?: Reservation): Copy {
    let sheet = this.#freeSheets.oldest;
    if (!sheet) {
      assert(reservation !== undefined, "a new sheet has memory");
      sheet = new Sheet(reservation.takeSegment(segmentSizeBytes));
      this.#sheets.add(sheet);
      this.#freeSheets.push(sheet);
    }
    reservation?.release();
    const copy = new Copy(sheet, permit, this);
    if (sheet.freeOffsets.length === 0) this.#freeSheets.remove(sheet);
    this.stats.copies += 1;
    return copy;
  }
}
