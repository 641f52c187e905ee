/** What a simulation or an attack draws its luck from: a seeded Random with the few questions that they ask. */
import { SeededRandom } from "../../src/base/random.ts";

export class Chance {
  readonly #random: SeededRandom;

  constructor(seed: number) {
    this.#random = new SeededRandom(seed);
  }

  /** A whole number in [0, limit). */
  below(limit: number): number {
    return Math.floor(this.#random.next() * limit);
  }

  between(min: number, max: number): number {
    return min + this.#random.next() * (max - min);
  }

  happens(share: number): boolean {
    return this.#random.next() < share;
  }

  oneOf<Item>(items: readonly [Item, ...Item[]]): Item;
  oneOf<Item>(items: readonly Item[]): Item | undefined;
  oneOf<Item>(items: readonly Item[]): Item | undefined {
    return items[this.below(items.length)];
  }

  /** A stream of its own, so that what one part draws does not shift what the others get. */
  fork(): Chance {
    return new Chance(this.below(2 ** 32));
  }

  forkRandom(): SeededRandom {
    return new SeededRandom(this.below(2 ** 32));
  }
}
