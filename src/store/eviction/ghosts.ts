/**
 * Remembers which entries were evicted lately, in four bytes each. An evicted entry leaves 16 bits of its hash and the
 * moment of its eviction, counted in evicted bytes, in a group of 16 places. A new ghost takes the oldest place of its
 * group. So a few ghosts are forgotten early, and one look-up in 4,096 finds the ghost of another entry: both cost no more
 * than a wrong guess about one entry.
 *
 * Invariant: there are at most as many places as entries were held at once or {@link placesMin}, whichever is more.
 */
import { bucketOf, sharedNumbers } from "./shared-columns.ts";

const groupSize = 16;
/** 256 KiB. A tier of few large entries can remember more small ones than it holds. */
const placesMin = 65_536;
/**
 * The moments wrap after 2^16 ticks. The window has so many ticks at first. If it becomes eight times as long, all ghosts
 * are forgotten and the tick becomes longer.
 */
const windowTicks = 4096;
const windowTicksMax = 8 * windowTicks;

export class Ghosts {
  /** In each place the moment in the upper 16 bits, and 16 bits of the hash, which are not all 0 in a place in use. */
  readonly #places: Uint32Array;
  readonly #groupsMax: number;
  #groups = 1;
  #rows = 1;
  #evictedBytes = 0;
  #windowBytes = 0;
  #tickBytes = 1;

  constructor(rowsMax: number) {
    this.#groupsMax = Math.floor(rowsMax / groupSize) + 1;
    this.#places = sharedNumbers(groupSize * this.#groupsMax);
  }

  /** The policy holds so many entries. Some ghosts are forgotten when the places become more. */
  reach(entries: number): void {
    if (entries <= this.#rows) return;
    this.#rows = entries;
    this.#groups = Math.max(this.#groups, Math.floor(entries / groupSize) + 1);
  }

  /** Remembers an eviction, until `windowBytes` more are evicted. */
  add(hash: number, sizeBytes: number, windowBytes: number): void {
    this.#setWindow(windowBytes);
    this.#evictedBytes += sizeBytes;
    const moment = this.#moment;
    const mark = markOf(hash);
    const first = groupSize * bucketOf(hash, this.#groups);
    let chosen = first;
    let chosenAge = -1;
    for (let place = first; place < first + groupSize; place += 1) {
      const ghost = this.#places[place] as number;
      const isFree = ghost === 0 || (ghost & 0xffff) === mark;
      const age = isFree ? windowTicksMax : (moment - (ghost >>> 16)) & 0xffff;
      if (age <= chosenAge) continue;
      chosen = place;
      chosenAge = age;
    }
    this.#places[chosen] = ((moment << 16) | mark) >>> 0;
    if (chosenAge * this.#tickBytes < this.#windowBytes) this.#grow();
  }

  has(hash: number): boolean {
    return this.#find(hash) !== undefined;
  }

  /** Whether there was such a ghost. */
  delete(hash: number): boolean {
    const place = this.#find(hash);
    if (place !== undefined) this.#places[place] = 0;
    return place !== undefined;
  }

  get #moment(): number {
    return Math.floor(this.#evictedBytes / this.#tickBytes) & 0xffff;
  }

  /** A ghost was forgotten early. */
  #grow(): void {
    const groupsMax = Math.floor(Math.max(this.#rows, placesMin) / groupSize);
    if (this.#groups < Math.min(groupsMax, this.#groupsMax)) this.#groups += 1;
  }

  #setWindow(windowBytes: number): void {
    this.#windowBytes = windowBytes;
    const isFirst = this.#evictedBytes === 0;
    if (!isFirst && windowBytes <= windowTicksMax * this.#tickBytes) return;
    this.#tickBytes = Math.max(1 / windowTicks, windowBytes / windowTicks);
    if (!isFirst) this.#places.fill(0);
  }

  #find(hash: number): number | undefined {
    const mark = markOf(hash);
    const first = groupSize * bucketOf(hash, this.#groups);
    for (let place = first; place < first + groupSize; place += 1) {
      const ghost = this.#places[place] as number;
      if ((ghost & 0xffff) !== mark) continue;
      const age = (this.#moment - (ghost >>> 16)) & 0xffff;
      if (age * this.#tickBytes < this.#windowBytes) return place;
    }
    return undefined;
  }
}

/** The bucket uses the lower bits. */
function markOf(hash: number): number {
  return hash >>> 16 || 1;
}
