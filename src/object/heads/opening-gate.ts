/**
 * Whether the first question about an object shall bring its first bytes as well (an opening). That is right for an object
 * that nobody has read, and wrong for one whose bytes a tier holds: the origin would send them again. A tier is asked by
 * version, and the version is known only from the answer. So the past decides: after an opening whose bytes were held,
 * look-ups use a HEAD until many of them in a row have found nothing held. After a restart with a full disk, one opening
 * in {@link headsAfterWaste} is wasted.
 */

/** Look-ups with a HEAD after an opening that brought nothing new. */
export const headsAfterWaste = 64;

/** A look-up that finds nothing held counts as so many: eight of them in a row open the gate again. */
const headsPerMiss = 8;

export class OpeningGate {
  #headsLeft = 0;

  get isOpen(): boolean {
    return this.#headsLeft === 0;
  }

  /** An answer has told a version: `isHeld` says whether its bytes wanted were held. */
  looked(wasOpening: boolean, isHeld: boolean): void {
    if (wasOpening) this.#headsLeft = isHeld ? headsAfterWaste : 0;
    else this.#headsLeft = Math.max(0, this.#headsLeft - (isHeld ? 1 : headsPerMiss));
  }
}
