/** Numbers for the ids of origins, so that a row of the chunk table holds no text. An id has its number while a row uses it. */
import { assert } from "../../base/assert.ts";

/** A number has 16 bits. The configured origins are a few; the rest are of chunks that earlier runs have left. */
const originsMax = 65_536;

export class OriginNumbers {
  readonly #ids: string[] = [];
  readonly #rows: number[] = [];
  readonly #numbers = new Map<string, number>();
  readonly #free: number[] = [];

  /** Undefined if no row uses the id. */
  find(id: string): number | undefined {
    return this.#numbers.get(id);
  }

  /** Whether the id has a number or could get one. */
  canHold(id: string): boolean {
    return this.#numbers.has(id) || this.#free.length > 0 || this.#ids.length < originsMax;
  }

  idOf(number: number): string {
    return this.#ids[number] as string;
  }

  /** The number of the id, which one more row uses. */
  take(id: string): number {
    const known = this.#numbers.get(id);
    if (known !== undefined) {
      this.#rows[known] = (this.#rows[known] as number) + 1;
      return known;
    }
    const number = this.#free.pop() ?? this.#ids.length;
    assert(number < originsMax, "a row is added only if its origin can have a number");
    this.#ids[number] = id;
    this.#rows[number] = 1;
    this.#numbers.set(id, number);
    return number;
  }

  /** One row uses the number no more. */
  release(number: number): void {
    const left = (this.#rows[number] as number) - 1;
    this.#rows[number] = left;
    if (left > 0) return;
    this.#numbers.delete(this.idOf(number));
    this.#free.push(number);
  }
}
