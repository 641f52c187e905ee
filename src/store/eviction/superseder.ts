/**
 * Supersedes the chunks of versions whose objects have changed, a slice in each turn of the event loop. A version may have
 * millions of chunks, and an origin may change many objects at once.
 */
import type { ObjectVersion } from "../../chunk/object-version.ts";

/** Chunks that are looked at in one turn, about a millisecond. */
export const supersedeSliceMax = 512;
/** Further versions are evicted in their turn, like any others. */
const versionsMax = 1024;

/** Supersedes one slice from `from` on. Returns where the next slice begins; undefined if there is none. */
export type SupersedeSlice = (version: ObjectVersion, from: number) => number | undefined;

export class Superseder {
  readonly #supersedeSlice: SupersedeSlice;
  readonly #versions: ObjectVersion[] = [];
  /** Where the next slice of the first version begins. */
  #from = 0;
  #isScheduled = false;

  constructor(supersedeSlice: SupersedeSlice) {
    this.#supersedeSlice = supersedeSlice;
  }

  /** The first slice is superseded at once, if no other version waits. */
  add(version: ObjectVersion): void {
    if (this.#versions.length >= versionsMax) return;
    this.#versions.push(version);
    if (!this.#isScheduled) this.#next();
  }

  close(): void {
    this.#versions.length = 0;
  }

  #next(): void {
    const [version] = this.#versions;
    if (version === undefined) return;
    const next = this.#supersedeSlice(version, this.#from);
    if (next === undefined) this.#versions.shift();
    this.#from = next ?? 0;
    if (this.#versions.length === 0) return;
    this.#isScheduled = true;
    setImmediate(() => {
      this.#isScheduled = false;
      this.#next();
    });
  }
}
