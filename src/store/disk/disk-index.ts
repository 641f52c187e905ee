/**
 * The chunks that the disk tier believes to be on disk, and the account of their bytes. It holds only paths and sizes:
 * the content of a file is trusted only after its footer was checked at opening. Bytes are sizes of files, footers
 * included, because `disk.max_bytes` bounds these. Directories, and the rounding to blocks of the file system, do not
 * count.
 *
 * Invariants:
 * 1. usedBytes is the sum of the sizes of all entries, of the reservations for commits, and of the files being deleted.
 * 2. After the scan, usedBytes <= maxBytes: nothing is reserved before its end, and only what fits after it.
 * 3. The policy holds exactly the entries of the index.
 * 4. firstToGoBytes is the sum of sizeBytes over the entries that are marked as the first to be evicted.
 * 5. The scan does not add a path that was removed before its end, because it may have seen the file before the unlink.
 */
import { assert } from "../../base/assert.ts";
import { fanOuts } from "../chunk-file/chunk-file.ts";
import type { Presence } from "../chunk-store.ts";
import { Evictable } from "../eviction/evictable.ts";
import type { EvictionPolicy } from "../eviction/eviction-policy.ts";
import type { ScanBatch } from "./disk-job.ts";

/** A file on disk. `key` is its chunk path, `sizeBytes` the size of the file, footer included. */
export class DiskEntry extends Evictable {
  /** Hex, if it is known: from the commit, or from the footer after the file was opened. */
  sha256: string | undefined = undefined;
  /** The block after the one read last. A read of it continues an earlier read. */
  nextBlock = 0;
  /** Marked by {@link DiskIndex.evictFirst}, and not used since. */
  isFirstToGo = false;
}

/**
 * Entries that are evicted or marked in one turn of the event loop, about a millisecond. A disk may hold millions, and
 * the distance between the watermarks is a part of that.
 */
export const sliceMax = 512;

/** The result of a reservation. */
export interface Reserved {
  readonly isReserved: boolean;
  /** The entries that were removed for it. */
  readonly victims: readonly DiskEntry[];
}

const nothingReserved: Reserved = { isReserved: false, victims: [] };

export interface DiskIndexOptions {
  readonly maxBytes: number;
  /** Parts of maxBytes. A reservation that would exceed the high one begins to evict down to the low one. */
  readonly highWatermark: number;
  readonly lowWatermark: number;
  readonly policy: EvictionPolicy<DiskEntry>;
}

export class DiskIndex {
  readonly #maxBytes: number;
  readonly #highBytes: number;
  readonly #lowBytes: number;
  readonly #lowWatermark: number;
  readonly #policy: EvictionPolicy<DiskEntry>;
  readonly #entries = new Map<string, DiskEntry>();
  /** The paths by their fan-out of two characters, for the inventory, which goes through them in order. */
  readonly #shelves = new Map<string, Set<string>>();
  readonly #deletions = new Set<string>();
  #removedWhileScanning: Set<string> | undefined = new Set();
  #entryBytes = 0;
  #firstToGoBytes = 0;
  #reservedBytes = 0;
  #deletionBytes = 0;
  #isTrimming = false;

  constructor(options: DiskIndexOptions) {
    this.#maxBytes = options.maxBytes;
    this.#highBytes = Math.floor(options.maxBytes * options.highWatermark);
    this.#lowBytes = Math.floor(options.maxBytes * options.lowWatermark);
    this.#lowWatermark = options.lowWatermark;
    this.#policy = options.policy;
  }

  get usedBytes(): number {
    return this.#entryBytes + this.#reservedBytes + this.#deletionBytes;
  }

  /**
   * The bytes that can be written without evicting an unmarked entry. A write that exceeds the high watermark evicts
   * down to the low one, so marked entries count only for the bytes that they hold beyond one such eviction. (It evicts
   * whole chunks, so each eviction may take one more than is counted.)
   */
  get spareBytes(): number {
    const evictedAtOnceBytes = this.#highBytes - this.#lowBytes;
    const replaceableBytes = Math.max(0, this.#firstToGoBytes - evictedAtOnceBytes);
    return Math.max(0, this.#highBytes - this.usedBytes + replaceableBytes);
  }

  get count(): number {
    return this.#entries.size;
  }

  /** Whether every file is known: then a chunk without an entry is not on disk. */
  get complete(): boolean {
    return this.#removedWhileScanning === undefined;
  }

  paths(): IterableIterator<string> {
    return this.#entries.keys();
  }

  get(path: string): DiskEntry | undefined {
    return this.#entries.get(path);
  }

  /**
   * The next paths after `after` (empty: from the first), at most `pathsMax`, in an order that does not change when
   * chunks are stored or deleted. It sorts a 256th of all paths at a time, so that a page of a large disk does not
   * delay others.
   */
  pathsAfter(after: string, pathsMax: number): string[] {
    const found: string[] = [];
    const begin = after === "" ? "00" : fanOutOf(after);
    for (const fanOut of fanOuts) {
      if (found.length === pathsMax) break;
      const shelf = fanOut < begin ? undefined : this.#shelves.get(fanOut);
      if (shelf === undefined) continue;
      const paths = fanOut === begin ? [...shelf].filter((path) => path > after) : [...shelf];
      found.push(...paths.sort().slice(0, pathsMax - found.length));
    }
    return found;
  }

  presence(path: string): Presence {
    if (this.#entries.has(path)) return "held";
    return this.#removedWhileScanning?.has(path) === false ? "unknown" : "absent";
  }

  add(path: string, sizeBytes: number, sha256?: string): DiskEntry {
    assert(!this.#entries.has(path), "a chunk is indexed once");
    const entry = new DiskEntry(path, sizeBytes);
    entry.sha256 = sha256;
    this.#entries.set(path, entry);
    this.#shelve(path);
    this.#entryBytes += sizeBytes;
    this.#policy.insert(entry);
    return entry;
  }

  /**
   * Reports a use to the policy. A sequential read of a chunk's blocks is one use. If each block was a use, such a read
   * of a large chunk would look like a hundred requests for it, and a scan would evict chunks that clients request
   * again.
   */
  touch(entry: DiskEntry, blockIndex: number): void {
    if (blockIndex === 0 || blockIndex !== entry.nextBlock) {
      this.#policy.touch(entry);
      this.#setFirstToGo(entry, false);
    }
    entry.nextBlock = blockIndex + 1;
  }

  /** Makes the chunk the first to be evicted, because its object has changed. A restart forgets this. */
  supersede(path: string): void {
    const entry = this.#entries.get(path);
    if (entry !== undefined) this.#policy.supersede(entry);
  }

  /**
   * Marks an entry as the first to be evicted, or removes the mark. If a use has removed the mark already, the entry
   * keeps the place that the policy has given it.
   */
  evictFirst(path: string, isFirst: boolean): void {
    const entry = this.#entries.get(path);
    if (entry === undefined || entry.isFirstToGo === isFirst) return;
    this.#setFirstToGo(entry, isFirst);
    if (isFirst) return this.#policy.supersede(entry);
    this.#policy.remove(entry);
    this.#policy.reinsert(entry);
  }

  remove(path: string): DiskEntry | undefined {
    const entry = this.#entries.get(path);
    if (entry !== undefined) this.#policy.remove(entry);
    this.#removeEntry(path, entry);
    return entry;
  }

  /**
   * Reserves `sizeBytes` for a commit, if the free room is known and one slice of victims makes room. The files of the
   * victims must be unlinked in any case, and before the first byte is written.
   */
  reserve(sizeBytes: number): Reserved {
    const fixedBytes = this.#reservedBytes + this.#deletionBytes + sizeBytes;
    if (!this.complete || fixedBytes > this.#maxBytes) return nothingReserved;
    const fits = this.usedBytes + sizeBytes <= this.#highBytes;
    const victims = fits ? [] : this.#takeVictims(this.#lowBytes - fixedBytes);
    if (victims.length === sliceMax) this.#isTrimming = true;
    const isReserved = this.usedBytes + sizeBytes <= this.#maxBytes;
    if (isReserved) this.#reservedBytes += sizeBytes;
    return { isReserved, victims };
  }

  /** The commit has ended: its bytes belong to an entry now, or are not on disk. */
  endReservation(sizeBytes: number): void {
    this.#reservedBytes -= sizeBytes;
    assert(this.#reservedBytes >= 0, "a reservation ends once");
  }

  /** Whether an eviction down to the low watermark has begun and not ended. {@link takeExcess} goes on with it. */
  get isTrimming(): boolean {
    return this.#isTrimming || this.usedBytes > this.#highBytes;
  }

  /** The next slice of an eviction down to the low watermark; empty at its end. */
  takeExcess(): DiskEntry[] {
    if (!this.isTrimming) return [];
    const victims = this.#takeVictims(this.#lowBytes - this.#reservedBytes - this.#deletionBytes);
    this.#isTrimming = victims.length === sliceMax;
    return victims;
  }

  /**
   * The bytes of entries that stay if the share above the low watermark goes, as if the limit was reached. The medium is
   * full before the limit, so other programs use it, too, and the limit does not help.
   */
  get shareThatStaysBytes(): number {
    return Math.ceil(this.#entryBytes * this.#lowWatermark);
  }

  /** The next slice of an eviction until the entries have at most `entryBytesMax`; empty at its end. */
  takeDownTo(entryBytesMax: number): DiskEntry[] {
    return this.#takeVictims(entryBytesMax);
  }

  /** Removes the entry for a deletion. Its bytes stay in the account until {@link endDeletion}. */
  startDeletion(path: string): number {
    const sizeBytes = this.remove(path)?.sizeBytes ?? 0;
    this.#deletions.add(path);
    this.#deletionBytes += sizeBytes;
    return sizeBytes;
  }

  /** The bytes of a file that could not be unlinked count forever, because it may still be on disk. */
  endDeletion(path: string, sizeBytes: number, gone: boolean): void {
    this.#deletions.delete(path);
    if (gone) this.#deletionBytes -= sizeBytes;
  }

  isBeingDeleted(path: string): boolean {
    return this.#deletions.has(path);
  }

  addScanned(batch: ScanBatch): void {
    for (const [position, path] of batch.paths.entries()) {
      if (this.presence(path) === "unknown") this.add(path, batch.sizesBytes[position] as number);
    }
  }

  endScan(): void {
    this.#removedWhileScanning = undefined;
  }

  #takeVictims(entryBytesMax: number): DiskEntry[] {
    const victims: DiskEntry[] = [];
    while (victims.length < sliceMax && this.#entryBytes > Math.max(0, entryBytesMax)) {
      const victim = this.#policy.evict();
      assert(victim !== undefined, "the policy holds all entries");
      this.#removeEntry(victim.key, victim);
      victims.push(victim);
    }
    return victims;
  }

  #removeEntry(path: string, entry: DiskEntry | undefined): void {
    this.#removedWhileScanning?.add(path);
    this.#entries.delete(path);
    this.#shelves.get(fanOutOf(path))?.delete(path);
    this.#entryBytes -= entry?.sizeBytes ?? 0;
    if (entry !== undefined) this.#setFirstToGo(entry, false);
  }

  #setFirstToGo(entry: DiskEntry, isFirst: boolean): void {
    if (entry.isFirstToGo === isFirst) return;
    entry.isFirstToGo = isFirst;
    this.#firstToGoBytes += isFirst ? entry.sizeBytes : -entry.sizeBytes;
  }

  #shelve(path: string): void {
    const fanOut = fanOutOf(path);
    const shelf = this.#shelves.get(fanOut);
    if (shelf === undefined) this.#shelves.set(fanOut, new Set([path]));
    else shelf.add(path);
  }
}

/** The first two characters of the hash in `<origin_id>/<hash>/<chunk_index>`. */
function fanOutOf(path: string): string {
  const hashAt = path.lastIndexOf("/", path.lastIndexOf("/") - 1) + 1;
  return path.slice(hashAt, hashAt + 2);
}
