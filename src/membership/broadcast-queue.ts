/**
 * News that waits to ride on messages (SWIM §4.1). Each piece rides a limited number of times, and what has ridden least
 * goes first, so that a fresh death is on the next message however much else there is.
 *
 * Invariants:
 * 1. A subject is queued once, with its newest item; an older one about it is forgotten, and what it rode does not count.
 * 2. #byRides[n] holds what has ridden n times, the oldest first.
 * 3. At most itemsMax wait. When one more comes, the one that rode most often, of these the oldest, gives way.
 */
interface Waiting<Item> {
  readonly item: Item;
  readonly sizeBytes: number;
  rides: number;
}

export class BroadcastQueue<Item> {
  readonly stats = { dropped: 0 };
  readonly #itemsMax: number;
  readonly #bySubject = new Map<string, Waiting<Item>>();
  readonly #byRides: Set<string>[] = [];

  constructor(itemsMax: number) {
    this.#itemsMax = itemsMax;
  }

  get size(): number {
    return this.#bySubject.size;
  }

  add(subject: string, item: Item, sizeBytes: number): void {
    this.#remove(subject);
    if (this.size >= this.#itemsMax) this.#dropMostRidden();
    this.#bySubject.set(subject, { item, sizeBytes, rides: 0 });
    this.#ridden(0).add(subject);
  }

  /**
   * What goes on the next message: up to `bytesMax`, in order, ending with the first that does not fit. What has now
   * ridden `rides` times is forgotten.
   */
  take(bytesMax: number, rides: number): Item[] {
    const taken: string[] = [];
    const items: Item[] = [];
    let bytesLeft = bytesMax;
    collect: for (const subjects of this.#byRides) {
      for (const subject of subjects) {
        const waiting = this.#bySubject.get(subject) as Waiting<Item>;
        if (waiting.sizeBytes > bytesLeft) break collect;
        bytesLeft -= waiting.sizeBytes;
        taken.push(subject);
        items.push(waiting.item);
      }
    }
    for (const subject of taken) this.#rode(subject, rides);
    return items;
  }

  #rode(subject: string, rides: number): void {
    const waiting = this.#bySubject.get(subject) as Waiting<Item>;
    if (waiting.rides + 1 >= rides) {
      this.#remove(subject);
      return;
    }
    this.#ridden(waiting.rides).delete(subject);
    waiting.rides += 1;
    this.#ridden(waiting.rides).add(subject);
  }

  #ridden(rides: number): Set<string> {
    while (this.#byRides.length <= rides) this.#byRides.push(new Set());
    return this.#byRides[rides] as Set<string>;
  }

  #remove(subject: string): void {
    const waiting = this.#bySubject.get(subject);
    if (!waiting) return;
    this.#bySubject.delete(subject);
    this.#ridden(waiting.rides).delete(subject);
  }

  #dropMostRidden(): void {
    const [oldest] = this.#byRides.findLast((subjects) => subjects.size > 0) ?? [];
    if (oldest === undefined) return;
    this.#remove(oldest);
    this.stats.dropped += 1;
  }
}

/** How often each member passes a piece of news on, so that it reaches all with high probability (SWIM §4.1). */
export function ridesMax(multiplier: number, liveMembers: number): number {
  return multiplier * Math.ceil(Math.log10(liveMembers + 1));
}
