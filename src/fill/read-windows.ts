/**
 * How much more than it asks for a miss fetches: nothing for readers that jump about in an object, and more and more for
 * a reader that goes on by one range request after the other, as the read-ahead of a kernel does. A window begins where
 * the flight of the last miss ended. The first miss of a later reader that begins exactly there doubles it, from one
 * block up to a chunk; any other resets it. Only misses come here: a hit in memory pays nothing.
 */

import { LruMap } from "../base/lru-map.ts";
import { segmentSizeBytes } from "../base/memory-budget.ts";
import type { ObjectVersion } from "../chunk/object-version.ts";

/** Versions whose last miss is remembered. Each costs about 300 bytes. */
const versionsMax = 4096;

interface ReadWindow {
  /** Where the flight of the last miss ends in the object. */
  readonly end: number;
  readonly bytes: number;
}

export class ReadWindows {
  readonly #windows = new LruMap<string, ReadWindow>({ entriesMax: versionsMax });

  /** The bytes that the first miss of a reader, in the block that begins at `start` of the object, may fetch. */
  after(version: ObjectVersion, start: number): number {
    const last = this.#windows.get(version.memoryKey(0));
    if (last?.end !== start) return segmentSizeBytes;
    return Math.min(last.bytes * 2, Math.max(version.chunkSizeBytes, segmentSizeBytes));
  }

  /** A flight that a reader with this window has started ends at `end` of the object. */
  note(version: ObjectVersion, end: number, bytes: number): void {
    this.#windows.set(version.memoryKey(0), { end, bytes });
  }
}
