/**
 * What is read of an object: all of it, and some ranges. The ranges depend on the seed, the key and the size alone, so a
 * second run with the same seed reads the same ones. Short ranges are as frequent as long ones, because faults like both.
 */
import { createHash } from "node:crypto";
import { SeededRandom } from "../../base/random.ts";
import { MiB } from "../../base/units.ts";

/** Bytes `offset` to `offset + lengthBytes`, or the whole object, which is asked for without a range. */
export interface PlannedRead {
  readonly offset: number;
  readonly lengthBytes: number;
  readonly isWhole: boolean;
}

/** A longer range would tell no more than the whole object does. */
const rangeBytesMax = 64 * MiB;

export interface ReadPlanOptions {
  readonly seed: number;
  /** Ranges of each object. */
  readonly ranges: number;
}

export function readPlan(
  key: string,
  sizeBytes: number,
  { seed, ranges }: ReadPlanOptions,
): readonly PlannedRead[] {
  const whole = { offset: 0, lengthBytes: sizeBytes, isWhole: true };
  // An empty object has no ranges.
  if (sizeBytes === 0) return [whole];
  const random = new SeededRandom(createHash("sha256").update(`${seed} ${key}`).digest().readUInt32LE());
  const longest = Math.min(sizeBytes, rangeBytesMax);
  const picked = Array.from({ length: ranges }, () => {
    const lengthBytes = Math.min(longest, Math.floor(longest ** random.next()));
    const offset = Math.floor(random.next() * (sizeBytes - lengthBytes + 1));
    return { offset, lengthBytes, isWhole: false };
  });
  return [whole, ...picked];
}
