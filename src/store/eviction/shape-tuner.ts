/**
 * Finds the shape of S3-FIFO that fits the current requests. No shape fits all requests: a small queue of a tenth loses
 * to LRU if chunks are requested twice and far apart, and a large one loses everywhere else. So several shapes, each
 * the best at something, run as miniature caches beside the tier, on a sample of its requests. When one of them would
 * have had more hits than the tier had, the tier takes its shape. (Another design was tried: to move a share step by
 * step towards the hits of ghosts, as ARC does. It gets stuck where the hit ratio drops between two good shares.)
 *
 * The comparison is a CUSUM chart (Page, 1954): a lead is the number of hits that a challenger has gained since it was
 * last level with the tier. So the time before, when the tier's shape was the better one, does not delay a change.
 *
 * Invariants:
 * 1. All miniature caches see the same requests and have the same capacity.
 * 2. No lead is negative, and the lead of the shape in use is 0.
 */
import { assert } from "../../base/assert.ts";
import { MiniatureCache } from "./miniature-cache.ts";
import { paperShape, type S3FifoShape } from "./s3-fifo.ts";

/** A tier starts with the first. */
const shapes: readonly S3FifoShape[] = [
  paperShape,
  // Popularity that lasts: an entry needs many uses to enter main, and leaves it slowly.
  { smallShare: 0.02, ghostShare: 0.3, usesForMain: 2, usesCounted: 7, secondChance: false },
  // Popularity that changes.
  { smallShare: 0.05, ghostShare: 0.9, usesForMain: 1, usesCounted: 1, secondChance: false },
  // A second use long after the first.
  { smallShare: 0.6, ghostShare: 0.9, usesForMain: 2, usesCounted: 1, secondChance: true },
  // Only the entries used last are used again: nearly LRU.
  { smallShare: 0.8, ghostShare: 0.1, usesForMain: 1, usesCounted: 1, secondChance: false },
];

/**
 * A challenger must lead by the number of entries times the reluctance, because a change of shape costs about one miss
 * for each entry that it replaces.
 */
const reluctanceMin = 0.25;
const reluctanceMax = 4;
/**
 * Each change doubles the reluctance, since equal shapes would alternate otherwise. It halves while all entries are
 * replaced this many times.
 */
const turnoversToRelent = 100;
/** A miss of the tier takes this from every lead, so that gains by chance do not add up. */
const missToll = 0.01;

interface Challenger {
  readonly miniature: MiniatureCache;
  lead: number;
}

export class ShapeTuner {
  readonly #challengers: readonly Challenger[];
  #inUse: Challenger;
  #reluctance = reluctanceMin;
  #capacityBytes = 0;
  #entryCount = 0;

  constructor() {
    this.#challengers = shapes.map((shape) => ({ miniature: new MiniatureCache(shape), lead: 0 }));
    const [first] = this.#challengers;
    assert(first !== undefined, "there is a shape to start with");
    this.#inUse = first;
  }

  get shape(): S3FifoShape {
    return this.#inUse.miniature.shape;
  }

  /** Sets the size of the tier, scaled down to the sample. */
  resize(capacityBytes: number, entryCount: number): void {
    this.#capacityBytes = capacityBytes;
    this.#entryCount = entryCount;
  }

  /** Counts a request of the sample. `hash` names the chunk. `isHit`: the tier held it. */
  request(hash: number, sizeBytes: number, isHit: boolean): void {
    const tierScore = isHit ? 1 : missToll;
    let leader = this.#inUse;
    for (const each of this.#challengers) {
      const score = each.miniature.request(hash, sizeBytes, this.#capacityBytes) ? 1 : 0;
      if (each === this.#inUse) continue;
      each.lead = Math.max(0, each.lead + score - tierScore);
      if (each.lead > leader.lead) leader = each;
    }
    if (!isHit) this.#relent();
    if (leader.lead > this.#reluctance * this.#entryCount) this.#change(leader);
  }

  #change(leader: Challenger): void {
    this.#inUse = leader;
    this.#reluctance = Math.min(reluctanceMax, 2 * this.#reluctance);
    for (const each of this.#challengers) each.lead = 0;
  }

  #relent(): void {
    const part = Math.LN2 / (turnoversToRelent * Math.max(1, this.#entryCount));
    this.#reluctance = Math.max(reluctanceMin, this.#reluctance * (1 - part));
  }
}
