/**
 * How much more than it asks for a miss fetches: nothing for readers that jump about in an object, and more and more for
 * a reader that goes on by one range request after the other, as the read-ahead of a kernel does. A window begins where
 * the flight of its reader's last miss ended. The first miss of a later reader that begins exactly there doubles it, from
 * one block up to a chunk; any other miss begins a new window. An object has four of them, so that several clients can
 * read it at the same time, each on its own. Only misses come here: a hit in memory pays nothing.
 */

import { LruMap } from "../base/lru-map.ts";
import { segmentSizeBytes } from "../base/memory-budget.ts";
import { MiB } from "../base/units.ts";
import type { ObjectVersion } from "../chunk/object-version.ts";

/** Versions whose windows are remembered. */
const versionsMax = 4096;

const windowsPerVersionMax = 4;

/** Of a full version: newcomers leave the windows that readers went on from alone as long as there are so many others. */
const newWindowsMin = 2;

/** What all windows may take on the heap, 400 bytes a version with one window. */
const heapBytesMax = 2 * MiB;
const versionHeapBytes = 250;
const windowHeapBytes = 64;

export interface ReadWindow {
  /** Where the last flight of its reader ends in the object. */
  end: number;
  /** What the first miss of its reader may fetch. */
  bytes: number;
}

export class ReadWindows {
  /** The least recently used window of a version first. */
  readonly #windows = new LruMap<string, ReadWindow[]>({ entriesMax: versionsMax, weightMax: heapBytesMax });

  /**
   * The window of a reader whose first miss is in the block that begins at `start` of the object. The reader sets its end
   * with each flight that it starts.
   */
  of(version: ObjectVersion, start: number): ReadWindow {
    const key = version.memoryKey(0);
    const windows = this.#windows.get(key) ?? [];
    const at = windows.findIndex(({ end }) => end === start);
    const [known] = at < 0 ? [] : windows.splice(at, 1);
    const bytesMax = Math.max(version.chunkSizeBytes, segmentSizeBytes);
    const window = known ?? { end: start, bytes: segmentSizeBytes };
    if (known) known.bytes = Math.min(known.bytes * 2, bytesMax);
    else if (windows.length === windowsPerVersionMax) windows.splice(leastUseful(windows), 1);
    windows.push(window);
    const heapBytes = versionHeapBytes + key.length + windows.length * windowHeapBytes;
    this.#windows.set(key, windows, heapBytes);
    return window;
  }

  /** What they take on the heap. */
  get heapBytes(): number {
    return this.#windows.weight;
  }
}

/** Readers that jump about must not push out the windows of those that go on, and those not all that is new. */
function leastUseful(windows: readonly ReadWindow[]): number {
  const isNew = ({ bytes }: ReadWindow): boolean => bytes === segmentSizeBytes;
  return windows.filter(isNew).length < newWindowsMin ? 0 : windows.findIndex(isNew);
}
