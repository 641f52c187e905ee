/**
 * What `orca verify-reads` has found so far, in memory that does not grow: counts, and the first differences. The first of
 * each class is kept however many there are of another. After many differences there is nothing more to learn, and the
 * origin is spared.
 */
import {
  type Difference,
  type DifferenceClass,
  differenceClasses,
  type ReadOutcome,
} from "./read-comparison.ts";

/** The run ends then. */
export const differencesMax = 100;
const shownOfClassMax = 5;

export class VerifyTally {
  readonly differences = Object.fromEntries(differenceClasses.map((each) => [each, 0])) as Record<
    DifferenceClass,
    number
  >;
  readonly first: Difference[] = [];
  objects = 0;
  wholes = 0;
  ranges = 0;
  equal = 0;
  /** Reads of objects that changed meanwhile. */
  changed = 0;

  /** Counts a read that has ended. */
  add(outcome: ReadOutcome, isWhole: boolean): void {
    if (isWhole) this.wholes += 1;
    else this.ranges += 1;
    if (outcome === "equal") this.equal += 1;
    else if (outcome === "changed") this.changed += 1;
    else {
      this.differences[outcome.class] += 1;
      if (this.differences[outcome.class] <= shownOfClassMax) this.first.push(outcome);
    }
  }

  get differing(): number {
    return Object.values(this.differences).reduce((sum, count) => sum + count, 0);
  }

  get isFull(): boolean {
    return this.differing >= differencesMax;
  }
}
