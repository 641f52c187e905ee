/**
 * The objects that clients read most, by the algorithm Filtered Space-Saving (Homem, Carvalho: "Finding top-k elements in
 * data streams", 2010; without the filter: Metwally, Agrawal, El Abbadi, 2005). It has a bounded number of counters. The
 * reads of all objects that have none are counted in the slots of a filter. When a slot has as many as the smallest
 * counter, the object that was read takes that counter over. So objects that are read once do not push out hot ones, and
 * each counter knows by how much it may be too high.
 *
 * Counts begin anew every five minutes, and the window before is kept: what is listed is hot now. It is called for every
 * response with bytes: that costs a look-up in a map by a small number, and for most objects that are not hot an addition
 * in an array. It reads no text: the texts of an object of many are in no cache of the processor. Two objects whose tags
 * are equal (one in 2^28) count as one.
 *
 * Invariants:
 * 1. `countersMax` counters exist at most in each of the two windows.
 * 2. The true count of a listed object is between `requests - overcount` and `requests`. A slot of the filter is at least
 *    the true count of each object that has no counter and belongs to that slot.
 * 3. `#smallest` is at most the smallest count of the window, and no counter before the cursor has that count.
 */
import type { HotObject } from "./replica-figures.ts";

export const windowMs = 300_000;
const countersMax = 128;
const filterSlots = 1024;
export const listedMax = 20;

interface Counter {
  tag: number;
  bucket: string;
  key: string;
  requests: number;
  overcount: number;
  bytes: number;
}

export class HotObjects {
  #byTag = new Map<number, Counter>();
  #counters: Counter[] = [];
  #filter = new Float64Array(filterSlots);
  #before: readonly Counter[] = [];
  /** What other threads list, by their names. */
  readonly #others = new Map<string, readonly HotObject[]>();
  #smallest = 1;
  #cursor = 0;

  /** `tag` is that of the version that was read, and `bucket` and `key` are the client's names for it. */
  count(tag: number, bucket: string, key: string, bytes: number): void {
    const counter = this.#byTag.get(tag);
    if (counter === undefined) {
      this.#start(tag, bucket, key, bytes);
      return;
    }
    counter.requests += 1;
    counter.bytes += bytes;
  }

  /** Begins a new window. To be called each {@link windowMs}. */
  rotate(): void {
    this.#before = this.#counters;
    this.#counters = [];
    this.#byTag = new Map();
    this.#filter.fill(0);
    this.#smallest = 1;
    this.#cursor = 0;
  }

  /** The list of another thread, in the place of its last one. Each rotates by itself. */
  setOther(thread: string, list: readonly HotObject[]): void {
    this.#others.set(thread, list);
  }

  /** The most read first. Versions of one object are one. */
  list(): HotObject[] {
    return mergedHotObjects([this.#before, this.#counters, ...this.#others.values()]);
  }

  #start(tag: number, bucket: string, key: string, bytes: number): void {
    if (this.#counters.length < countersMax) {
      const counter = { tag, bucket, key, requests: 1, overcount: 0, bytes };
      this.#counters.push(counter);
      this.#byTag.set(tag, counter);
      return;
    }
    const slot = tag & (filterSlots - 1);
    const filter = this.#filter;
    const reads = (filter[slot] as number) + 1;
    filter[slot] = reads;
    if (reads < this.#smallest) return;
    const counter = this.#leastRead();
    if (reads < counter.requests) return;
    this.#byTag.delete(counter.tag);
    const other = counter.tag & (filterSlots - 1);
    filter[other] = Math.max(filter[other] as number, counter.requests);
    counter.overcount = reads - 1;
    counter.requests = reads;
    counter.tag = tag;
    counter.bucket = bucket;
    counter.key = key;
    counter.bytes = bytes;
    this.#byTag.set(tag, counter);
  }

  /** Counts only grow, so the search goes on where the last one ended, until no counter has the smallest count. */
  #leastRead(): Counter {
    const counters = this.#counters;
    for (;;) {
      for (; this.#cursor < counters.length; this.#cursor += 1) {
        const counter = counters[this.#cursor] as Counter;
        if (counter.requests === this.#smallest) return counter;
      }
      this.#cursor = 0;
      this.#smallest = counters.reduce((least, { requests }) => Math.min(least, requests), Infinity);
    }
  }
}

/** One list of several, of other windows, threads or replicas. */
export function mergedHotObjects(lists: readonly (readonly HotObject[])[]): HotObject[] {
  const byName = new Map<string, HotObject>();
  for (const { bucket, key, requests, overcount, bytes } of lists.flat()) {
    const name = `${bucket}/${key}`;
    const known = byName.get(name);
    byName.set(name, {
      bucket,
      key,
      requests: requests + (known?.requests ?? 0),
      overcount: overcount + (known?.overcount ?? 0),
      bytes: bytes + (known?.bytes ?? 0),
    });
  }
  return [...byName.values()]
    .sort((left, right) => right.requests - right.overcount - (left.requests - left.overcount))
    .slice(0, listedMax);
}
