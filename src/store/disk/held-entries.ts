/**
 * The entries of the disk index that some part works with across turns of the event loop. A row alone does not say whether
 * its chunk is still the same one.
 *
 * Invariant: #entries contains exactly the entries that are held and were not removed.
 */
import { assert } from "../../base/assert.ts";

/** A file on disk. */
export interface FileOnDisk {
  readonly path: string;
  /** The size of the file, footer included. */
  readonly sizeBytes: number;
  /** The number of its share (shares/disk-share.ts), where that is known. */
  readonly share?: number | undefined;
}

/** What is known of a new entry. */
export interface EntryFacts {
  readonly sha256?: string;
  /** The time of the last use, of a file that the scan has found. */
  readonly usedAtMs?: number | undefined;
  /** The number of its share. */
  readonly share?: number | undefined;
}

/** The result of a reservation of room. */
export interface Reserved {
  readonly isReserved: boolean;
  /** The entries that were removed for it. */
  readonly victims: readonly FileOnDisk[];
}

export const nothingReserved: Reserved = { isReserved: false, victims: [] };

/**
 * If the chunk is removed, also if it is stored again, the entry is not held any more. So a fault that was found in the
 * old file says nothing about the new one.
 */
export class DiskEntry implements FileOnDisk {
  readonly path: string;
  readonly sizeBytes: number;
  readonly row: number;
  isHeld = true;
  /** The parts that hold it. */
  holds = 0;

  constructor(path: string, sizeBytes: number, row: number) {
    this.path = path;
    this.sizeBytes = sizeBytes;
    this.row = row;
  }
}

export class HeldEntries {
  readonly #entries = new Map<number, DiskEntry>();

  get(row: number): DiskEntry | undefined {
    return this.#entries.get(row);
  }

  hold(entry: DiskEntry): void {
    this.#entries.set(entry.row, entry);
    entry.holds += 1;
  }

  release(entry: DiskEntry): void {
    entry.holds -= 1;
    assert(entry.holds >= 0, "an entry is released once for each hold");
    if (entry.holds === 0 && entry.isHeld) this.#entries.delete(entry.row);
  }

  /** The chunk of the row was removed. */
  remove(row: number): void {
    const entry = this.#entries.get(row);
    if (entry === undefined) return;
    entry.isHeld = false;
    this.#entries.delete(row);
  }
}
