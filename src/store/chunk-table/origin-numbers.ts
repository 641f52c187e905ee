/** Numbers for the ids of origins, so that a row of the chunk table holds no text. An id has its number while a row uses it. */
import { assert } from "../../base/assert.ts";
import { isBlocksId } from "../../chunk/object-version.ts";

/** A number has 16 bits. The configured origins are a few; the rest are of chunks that earlier runs have left. */
const originsMax = 65_536;

interface Origin {
  readonly id: string;
  readonly isOfBlocks: boolean;
  rows: number;
}

export class OriginNumbers {
  readonly #origins: Origin[] = [];
  readonly #numbers = new Map<string, number>();
  readonly #free: number[] = [];
  #blockRows = 0;

  /** Rows of blocks of partial chunks. */
  get blockRows(): number {
    return this.#blockRows;
  }

  /** Undefined if no row uses the id. */
  find(id: string): number | undefined {
    return this.#numbers.get(id);
  }

  /** Whether the id has a number or could get one. */
  canHold(id: string): boolean {
    return this.#numbers.has(id) || this.#free.length > 0 || this.#origins.length < originsMax;
  }

  idOf(number: number): string {
    return this.#of(number).id;
  }

  /** Whether the rows with this number are blocks of partial chunks. */
  isOfBlocks(number: number): boolean {
    return this.#of(number).isOfBlocks;
  }

  /** The number of the id, which one more row uses. */
  take(id: string): number {
    const number = this.#numbers.get(id) ?? this.#add(id);
    const origin = this.#of(number);
    origin.rows += 1;
    if (origin.isOfBlocks) this.#blockRows += 1;
    return number;
  }

  /** One row uses the number no more. */
  release(number: number): void {
    const origin = this.#of(number);
    origin.rows -= 1;
    if (origin.isOfBlocks) this.#blockRows -= 1;
    if (origin.rows > 0) return;
    this.#numbers.delete(origin.id);
    this.#free.push(number);
  }

  #add(id: string): number {
    const number = this.#free.pop() ?? this.#origins.length;
    assert(number < originsMax, "a row is added only if its origin can have a number");
    this.#origins[number] = { id, isOfBlocks: isBlocksId(id), rows: 0 };
    this.#numbers.set(id, number);
    return number;
  }

  #of(number: number): Origin {
    return this.#origins[number] as Origin;
  }
}
