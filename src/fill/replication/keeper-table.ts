/**
 * Remembers the keepers of chunk paths while the members stay the same. To rank a path costs a step for each member, and
 * anti-entropy asks about every chunk on the disk in every round, and again for each peer that compares its disk. With
 * this table a path is ranked once for each change of members.
 *
 * It holds no paths, only their hashes of 64 bits: a slot is 8 bytes and 2 for each copy, in typed arrays.
 *
 * Invariants:
 * 1. At most half of the slots are taken, so a search ends.
 * 2. At most pathsMax paths are held. One more empties the table.
 */
import { placementHash } from "../../placement/rendezvous.ts";

const slotsMin = 1024;
/** The table then takes 24 MiB with two copies. On a disk with more chunks, each round ranks them all. */
const pathsMaxDefault = 1024 * 1024;
/** Marks the place of a keeper that there is not, where there are fewer members than copies. */
export const noKeeper = 0xffff;

export class KeeperTable {
  readonly #copies: number;
  readonly #pathsMax: number;
  #size = 0;
  /** The halves of the hashes. A low half of 0 is a free slot. */
  #tags = new Uint32Array(slotsMin);
  #homes = new Uint32Array(slotsMin);
  #keepers: Uint16Array;

  constructor(copies: number, pathsMax: number = pathsMaxDefault) {
    this.#copies = copies;
    this.#pathsMax = pathsMax;
    this.#keepers = new Uint16Array(slotsMin * copies);
  }

  get size(): number {
    return this.#size;
  }

  clear(): void {
    this.#tags.fill(0);
    this.#size = 0;
  }

  /** The slot of `path`, whose keepers `rank` names by their positions if they are not known yet. */
  slotOf(path: string, rank: (path: string) => readonly number[]): number {
    const { high, low } = placementHash(path);
    const tag = low === 0 ? 1 : low;
    const known = this.#find(tag, high);
    if (this.#tags[known] === tag) return known;
    const keepers = rank(path);
    if (this.#size >= this.#pathsMax) this.clear();
    if ((this.#size + 1) * 2 > this.#tags.length) this.#grow();
    const slot = this.#find(tag, high);
    this.#tags[slot] = tag;
    this.#homes[slot] = high;
    for (let copy = 0; copy < this.#copies; copy += 1) {
      this.#keepers[slot * this.#copies + copy] = keepers[copy] ?? noKeeper;
    }
    this.#size += 1;
    return slot;
  }

  /** The position of the keeper of copy `copy`, or {@link noKeeper}. */
  keeper(slot: number, copy: number): number {
    return this.#keepers[slot * this.#copies + copy] as number;
  }

  /** The slot that holds the hash, or the free one where it belongs. */
  #find(tag: number, home: number): number {
    const mask = this.#tags.length - 1;
    let slot = home & mask;
    while (this.#tags[slot] !== 0 && (this.#tags[slot] !== tag || this.#homes[slot] !== home)) {
      slot = (slot + 1) & mask;
    }
    return slot;
  }

  #grow(): void {
    const [tags, homes, keepers] = [this.#tags, this.#homes, this.#keepers];
    this.#tags = new Uint32Array(tags.length * 2);
    this.#homes = new Uint32Array(tags.length * 2);
    this.#keepers = new Uint16Array(keepers.length * 2);
    for (let from = 0; from < tags.length; from += 1) {
      const tag = tags[from] as number;
      if (tag === 0) continue;
      const to = this.#find(tag, homes[from] as number);
      this.#tags[to] = tag;
      this.#homes[to] = homes[from] as number;
      for (let copy = 0; copy < this.#copies; copy += 1) {
        this.#keepers[to * this.#copies + copy] = keepers[from * this.#copies + copy] as number;
      }
    }
  }
}
