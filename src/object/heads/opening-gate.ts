/**
 * Whether the first question about an object shall bring its first bytes as well (an opening). That is right for an object
 * that nobody has read, and wrong for one whose bytes a tier holds: the origin would send them again. A tier is asked by
 * version, and the version is known only from the answer. So the past decides. An opening whose bytes were held closes
 * the gate: look-ups use a HEAD until eight of them in a row, or many more in all, have found nothing held. The gate
 * begins closed where a tier may hold what an earlier run has fetched.
 */

/** Look-ups with a HEAD after an opening whose bytes were held. */
export const headsAfterWaste = 64;

/** A look-up that finds nothing held counts as so many. */
const headsPerMiss = 8;

export class OpeningGate {
  #headsLeft: number;

  constructor(isOpen: boolean) {
    this.#headsLeft = isOpen ? 0 : headsAfterWaste;
  }

  get isOpen(): boolean {
    return this.#headsLeft === 0;
  }

  /** An answer has told a version: `isHeld` says whether its bytes wanted were held. */
  looked(wasOpening: boolean, isHeld: boolean): void {
    if (isHeld) this.#headsLeft = headsAfterWaste;
    else this.#headsLeft = wasOpening ? 0 : Math.max(0, this.#headsLeft - headsPerMiss);
  }
}
