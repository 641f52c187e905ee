/**
 * Indexes of chunks of one object, added in ascending order, and their short form `0-63,70`. An object may have a hundred
 * thousand chunks, and this form is short for most sets of them.
 */
import { assert } from "../base/assert.ts";

export class ChunkRanges {
  readonly #ranges: string[] = [];
  #count = 0;
  #first = -1;
  #last = -1;

  get count(): number {
    return this.#count;
  }

  add(index: number): void {
    assert(index > this.#last, "chunks are added in ascending order, each once");
    this.#count += 1;
    if (index !== this.#last + 1 || this.#first < 0) {
      this.#endRange();
      this.#first = index;
    }
    this.#last = index;
  }

  /** Empty for no chunk. */
  toString(): string {
    const open = this.#openRange();
    return (open === undefined ? this.#ranges : [...this.#ranges, open]).join(",");
  }

  #endRange(): void {
    const open = this.#openRange();
    if (open !== undefined) this.#ranges.push(open);
  }

  #openRange(): string | undefined {
    if (this.#first < 0) return undefined;
    return this.#first === this.#last ? String(this.#first) : `${this.#first}-${this.#last}`;
  }
}
