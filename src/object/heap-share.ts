/**
 * A share of the memory budget for the heap of several LRU maps. Their entries together take at most `bytesMax`, and
 * count against `memory.max_bytes`. One bound for all of them means that a map takes what the others do not need.
 *
 * Invariants:
 * 1. #bytes is the sum of the weights of all maps, and as much is charged to the budget.
 * 2. #bytes <= bytesMax. To make room, the heaviest map evicts its least recently used entry. So a map with few
 *    entries keeps them, whatever the others receive.
 * 3. After {@link close}, no map has an entry.
 */
import { assert } from "../base/assert.ts";
import type { SharedBound, WeighedMap } from "../base/lru-map.ts";
import type { MemoryBudget } from "../base/memory-budget.ts";

export class HeapShare implements SharedBound {
  readonly #budget: Pick<MemoryBudget, "tryCharge" | "dischargeAlone">;
  readonly #maps: WeighedMap[] = [];
  #bytesMax: number;
  #bytes = 0;

  constructor(budget: Pick<MemoryBudget, "tryCharge" | "dischargeAlone">, bytesMax: number) {
    this.#budget = budget;
    this.#bytesMax = bytesMax;
  }

  get bytes(): number {
    return this.#bytes;
  }

  get bytesMax(): number {
    return this.#bytesMax;
  }

  add(map: WeighedMap): void {
    this.#maps.push(map);
  }

  /**
   * @see SharedBound. Where the budget has no room, because all chunks in memory are in use, the new entry replaces others
   * of the share.
   */
  tryCharge(bytes: number): boolean {
    assert(bytes > 0, "an entry takes bytes, or evicting it makes no room");
    if (bytes > this.#bytesMax) return false;
    this.#evictUntil(this.#bytesMax - bytes);
    if (!this.#budget.tryCharge(bytes)) {
      if (bytes > this.#bytes) return false;
      this.#evictUntil(this.#bytes - bytes);
      if (!this.#budget.tryCharge(bytes)) return false;
    }
    this.#bytes += bytes;
    return true;
  }

  discharge(bytes: number): void {
    this.#bytes -= bytes;
    this.#budget.dischargeAlone(bytes);
  }

  /** Evicts all entries of all maps. From now on nothing is kept. */
  close(): void {
    this.#bytesMax = 0;
    this.#evictUntil(0);
  }

  #evictUntil(bytes: number): void {
    while (this.#bytes > bytes) {
      let heaviest: WeighedMap | undefined;
      for (const map of this.#maps) {
        if (heaviest === undefined || map.weight > heaviest.weight) heaviest = map;
      }
      const bytesBefore = this.#bytes;
      heaviest?.evictOldest();
      assert(this.#bytes < bytesBefore, "an eviction discharges what its entry weighs");
    }
  }
}
