/**
 * Lifeguard's local health multiplier (Dadgar 2018, §III-A): a score of how slow this replica itself seems to be. Missing
 * answers, and accusations that it must refute, raise the score. Answers in time lower it. The score slows down all
 * probes, because an overloaded replica would mistake its own slowness for the death of others.
 */
export class LocalHealth {
  readonly #scoreMax: number;
  #score = 0;

  /** `max` is the largest factor. The largest score is one less. */
  constructor(max: number) {
    this.#scoreMax = Math.max(0, max - 1);
  }

  /** 0 is healthy. */
  get score(): number {
    return this.#score;
  }

  /** Adds to the score. A negative change is an improvement. */
  note(change: number): void {
    this.#score = Math.min(this.#scoreMax, Math.max(0, this.#score + change));
  }

  scale(milliseconds: number): number {
    return milliseconds * (this.#score + 1);
  }
}
