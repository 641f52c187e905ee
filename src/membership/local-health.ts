/**
 * Lifeguard's local health multiplier (Dadgar 2018, §III-A): a score of how unwell this replica itself seems to be. Missed
 * answers of those who should have answered, and having to refute, raise it; answers in time lower it. All probing slows
 * down by it, because a replica that is behind would take its own slowness for the death of others.
 */
export class LocalHealth {
  readonly #scoreMax: number;
  #score = 0;

  /** `max` is the largest factor; the score ends one below it. */
  constructor(max: number) {
    this.#scoreMax = Math.max(0, max - 1);
  }

  /** 0 is well. */
  get score(): number {
    return this.#score;
  }

  /** By how much it looks worse; negative for better. */
  note(change: number): void {
    this.#score = Math.min(this.#scoreMax, Math.max(0, this.#score + change));
  }

  scale(milliseconds: number): number {
    return milliseconds * (this.#score + 1);
  }
}
