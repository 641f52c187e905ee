/**
 * Finds the shape of S3-FIFO that fits what is asked for now. No one shape does: a small queue of a tenth loses to LRU
 * where chunks are asked for twice and far apart, and a large one loses everywhere else. So the shapes that are best at
 * something run as miniatures beside the tier, on a sample of its requests, and where one of them would have had more
 * hits than the tier had, the tier takes its shape. (Moving a share step by step towards the hits of ghosts, as ARC
 * does, was tried: it gets stuck where the hit ratio falls off between two good shares.)
 *
 * The comparison is a CUSUM chart (Page, 1954): a lead is what a challenger has gained since it was last level with the
 * tier, so that a better past does not count against a tier whose requests have changed.
 *
 * Invariants:
 * 1. All miniatures see the same requests and have the same capacity.
 * 2. No lead is negative, and that of the shape in use is 0.
 */
import { assert } from "../../base/assert.ts";
import { MiniatureCache } from "./miniature-cache.ts";
import { paperShape, type S3FifoShape } from "./s3-fifo.ts";

/** The first is what a tier begins with. */
const shapes: readonly S3FifoShape[] = [
  paperShape,
  // Popularity that lasts: hard to get into main, and slow to leave it.
  { smallShare: 0.02, ghostShare: 0.3, usesForMain: 2, usesCounted: 7, secondChance: false },
  // Popularity that moves.
  { smallShare: 0.05, ghostShare: 0.9, usesForMain: 1, usesCounted: 1, secondChance: false },
  // A second use that comes late.
  { smallShare: 0.6, ghostShare: 0.9, usesForMain: 2, usesCounted: 1, secondChance: true },
  // Only what was used last is used again: nearly LRU.
  { smallShare: 0.8, ghostShare: 0.1, usesForMain: 1, usesCounted: 1, secondChance: false },
];

/** Leads are hits; these are parts of the number of entries. To change the shape costs about as much as it replaces. */
const reluctanceMin = 0.25;
const reluctanceMax = 4;
/** Each change doubles the reluctance, or equals would take turns. It halves while everything is replaced so often. */
const turnoversToRelent = 100;
/** What a miss of the tier takes from every lead, so that chance does not add up. */
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
    assert(first !== undefined, "there is a shape to begin with");
    this.#inUse = first;
  }

  get shape(): S3FifoShape {
    return this.#inUse.miniature.shape;
  }

  /** What the sample has of the tier. */
  resize(capacityBytes: number, entryCount: number): void {
    this.#capacityBytes = capacityBytes;
    this.#entryCount = entryCount;
  }

  /** A request of the sample, and whether the tier had it. */
  request(key: string, sizeBytes: number, isHit: boolean): void {
    const tierScore = isHit ? 1 : missToll;
    let leader = this.#inUse;
    for (const each of this.#challengers) {
      const score = each.miniature.request(key, sizeBytes, this.#capacityBytes) ? 1 : 0;
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
