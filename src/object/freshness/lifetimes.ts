/**
 * How long the metadata of an object is trusted. A part of an origin's keys may have settings of its own: a bucket, or a
 * prefix in it. They belong to the place at the origin and not to the name that clients use, because replicas ask each
 * other by place. The longest prefix that a key begins with decides.
 */
import type { ObjectLocation } from "../../origin/origin.ts";

export interface Lifetime {
  /** Of what is known about an object that exists. 0: every request asks the source. Infinity: it is immutable. */
  readonly ttlMs: number;
  /** Of an object's absence, and of any other lasting error. */
  readonly negativeTtlMs: number;
  /** The last part of `ttlMs` in which a request makes the source be asked again in the background. 0: none. */
  readonly refreshAhead?: number;
  /** How long after its TTL an entry answers while the source fails. 0: not at all. */
  readonly staleIfErrorMs?: number;
}

/** Objects with a lifetime of their own. */
export interface LifetimePlace {
  /** As the origin names it. Undefined for every bucket that no other place names. */
  readonly bucket: string | undefined;
  /** Of keys at the origin; empty for the whole bucket. */
  readonly prefix: string;
  readonly lifetime: Lifetime;
}

export class Lifetimes {
  readonly #common: Lifetime;
  /** By bucket, the longest prefix first. */
  readonly #places = new Map<string | undefined, LifetimePlace[]>();

  constructor(common: Lifetime, places: readonly LifetimePlace[] = []) {
    this.#common = common;
    for (const place of places.toSorted((a, b) => b.prefix.length - a.prefix.length)) {
      const ofBucket = this.#places.get(place.bucket);
      if (ofBucket) ofBucket.push(place);
      else this.#places.set(place.bucket, [place]);
    }
  }

  of({ bucket, key }: ObjectLocation): Lifetime {
    if (this.#places.size === 0) return this.#common;
    return (this.#find(bucket, key) ?? this.#find(undefined, key))?.lifetime ?? this.#common;
  }

  /** The shortest TTL of all, which decides how often expired entries are looked for. */
  get ttlMsMin(): number {
    const places = [...this.#places.values()].flat();
    return Math.min(this.#common.ttlMs, ...places.map(({ lifetime }) => lifetime.ttlMs));
  }

  #find(bucket: string | undefined, key: string): LifetimePlace | undefined {
    return this.#places.get(bucket)?.find(({ prefix }) => key.startsWith(prefix));
  }
}

/**
 * The times of an answer of the source. `remainingMs` is what a coordinator has left of its TTL; undefined for an answer of
 * the origin itself. `ttlMaxMs` is finite while an invalidation spreads. Then the answer may be from before the change, so
 * it ends with its time.
 */
export function timesOf(
  { ttlMs, negativeTtlMs, refreshAhead = 0, staleIfErrorMs = 0 }: Lifetime,
  isFound: boolean,
  remainingMs: number | undefined,
  ttlMaxMs: number,
): { freshMs: number; aheadMs: number; keptMs: number } {
  const lifetimeMs = isFound ? ttlMs : negativeTtlMs;
  const freshMs = remainingMs === undefined ? lifetimeMs : Math.min(lifetimeMs, remainingMs, ttlMaxMs);
  const aheadMs = isFound && refreshAhead > 0 ? refreshAhead * ttlMs : 0;
  return { freshMs, aheadMs, keptMs: isFound && ttlMaxMs === Infinity ? staleIfErrorMs : 0 };
}
