/**
 * Request ids of 16 upper-case hex characters, like S3's own. The first is random, and the others count up from it, so
 * that two replicas or two runs do not share ids and a request costs one string concatenation. Ids are not secrets.
 */
import type { Random } from "../base/random.ts";

const hexPairs = Array.from({ length: 256 }, (_, value) => value.toString(16).toUpperCase().padStart(2, "0"));

export class RequestIds {
  /** The two halves of the upper 56 bits, which change once in 256 requests. */
  #high: number;
  #middle: number;
  #low = 0;
  #prefix: string;

  constructor(random: Random) {
    this.#high = Math.floor(random.next() * 2 ** 28);
    this.#middle = Math.floor(random.next() * 2 ** 28);
    this.#prefix = this.#writePrefix();
  }

  next(): string {
    const id = this.#prefix + (hexPairs[this.#low] as string);
    this.#low += 1;
    if (this.#low === hexPairs.length) this.#carry();
    return id;
  }

  #carry(): void {
    this.#low = 0;
    this.#middle = (this.#middle + 1) % 2 ** 28;
    if (this.#middle === 0) this.#high = (this.#high + 1) % 2 ** 28;
    this.#prefix = this.#writePrefix();
  }

  #writePrefix(): string {
    return (
      this.#high.toString(16).toUpperCase().padStart(7, "0") +
      this.#middle.toString(16).toUpperCase().padStart(7, "0")
    );
  }
}
