/**
 * Names for requests: 16 upper-case hex characters, as S3's own. The first one is drawn by chance when the process
 * starts and the others count on from it, so that two replicas or two runs do not share names, and a request pays for
 * one string addition and no cryptography. They are names, not secrets.
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
