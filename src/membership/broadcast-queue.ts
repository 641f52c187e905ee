/**
 * Items of gossip that wait to be sent with other messages (SWIM §4.1). Each item is sent a limited number of times. The
 * items sent least often go first, so a new death is in the next message, however many items wait.
 *
 * Invariants:
 * 1. A subject is queued once, with its newest item. A newer item replaces the older one, and its sends count from 0.
 * 2. #bySends[n] holds the subjects of the items that were sent n times, the oldest first.
 * 3. At most itemsMax items wait. One more item drops the item that was sent most often, and of these the oldest.
 */
import { LruMap } from "../base/lru-map.ts";

interface Waiting<Item> {
  readonly item: Item;
  readonly sizeBytes: number;
  sends: number;
}

export class BroadcastQueue<Item> {
  readonly stats = { dropped: 0 };
  readonly #itemsMax: number;
  readonly #bySubject = new Map<string, Waiting<Item>>();
  readonly #bySends: LruMap<string, true>[] = [];

  constructor(itemsMax: number) {
    this.#itemsMax = itemsMax;
  }

  get size(): number {
    return this.#bySubject.size;
  }

  add(subject: string, item: Item, sizeBytes: number): void {
    this.#remove(subject);
    if (this.size >= this.#itemsMax) this.#dropMostSent();
    this.#bySubject.set(subject, { item, sizeBytes, sends: 0 });
    this.#sentTimes(0).set(subject, true);
  }

  /**
   * The items for the next message: in order, up to the first that does not fit in `bytesMax`. Items that have now been
   * sent `sends` times are removed.
   */
  take(bytesMax: number, sends: number): Item[] {
    const taken: string[] = [];
    const items: Item[] = [];
    let bytesLeft = bytesMax;
    collect: for (const subjects of this.#bySends) {
      for (const subject of subjects.keys()) {
        const waiting = this.#bySubject.get(subject) as Waiting<Item>;
        if (waiting.sizeBytes > bytesLeft) break collect;
        bytesLeft -= waiting.sizeBytes;
        taken.push(subject);
        items.push(waiting.item);
      }
    }
    for (const subject of taken) this.#countSend(subject, sends);
    return items;
  }

  #countSend(subject: string, sends: number): void {
    const waiting = this.#bySubject.get(subject) as Waiting<Item>;
    if (waiting.sends + 1 >= sends) {
      this.#remove(subject);
      return;
    }
    this.#sentTimes(waiting.sends).delete(subject);
    waiting.sends += 1;
    this.#sentTimes(waiting.sends).set(subject, true);
  }

  #sentTimes(sends: number): LruMap<string, true> {
    while (this.#bySends.length <= sends) this.#bySends.push(new LruMap());
    return this.#bySends[sends] as LruMap<string, true>;
  }

  #remove(subject: string): void {
    const waiting = this.#bySubject.get(subject);
    if (!waiting) return;
    this.#bySubject.delete(subject);
    this.#sentTimes(waiting.sends).delete(subject);
  }

  #dropMostSent(): void {
    const oldest = this.#bySends.findLast((subjects) => subjects.size > 0)?.oldest;
    if (oldest === undefined) return;
    this.#remove(oldest.key);
    this.stats.dropped += 1;
  }
}

/** How often each member sends an item, so that it reaches all members with high probability (SWIM §4.1). */
export function sendsMax(multiplier: number, liveMembers: number): number {
  return multiplier * Math.ceil(Math.log10(liveMembers + 1));
}
