/**
 * What the disk tier believes to be on disk, and the account of its bytes. Names and sizes only: what a file holds is
 * believed when it is opened and its footer checked. Bytes are sizes of files, footer included, because that is what
 * `disk.max_bytes` is asked to bound; directories and the rounding of a file system to its blocks are not counted.
 *
 * Invariants:
 * 1. usedBytes is the sum of sizeBytes over all entries, of what is reserved for commits, and of what is leaving.
 * 2. Once the scan has ended, usedBytes <= maxBytes: nothing is reserved before, and no more than fits after.
 * 3. The policy holds exactly the entries there are.
 * 4. firstToGoBytes is the sum of sizeBytes over the entries that are marked as the first to be evicted.
 * 5. Until the scan ends, a key that was taken out is not put in again by the scan, which may have seen the file
 *    before it was unlinked.
 */
import { assert } from "../../base/assert.ts";
import { fanOuts } from "../chunk-file/chunk-file.ts";
import type { Presence } from "../chunk-store.ts";
import { Evictable } from "../eviction/evictable.ts";
import type { EvictionPolicy } from "../eviction/eviction-policy.ts";
import type { ScanBatch } from "./disk-job.ts";

/** A file that is on disk: `key` is its chunk path, `sizeBytes` the size of the file, footer included. */
export class DiskEntry extends Evictable {
  /** Hex, where it is known: from the commit, or from the footer once the file was opened. */
  sha256: string | undefined = undefined;
  /** The block after the one read last: a read that begins there goes on with an earlier one. */
  nextBlock = 0;
  /** Marked by {@link DiskIndex.evictFirst}, and not used since. */
  isFirstToGo = false;
}

export interface DiskIndexOptions {
  readonly maxBytes: number;
  /** Parts of maxBytes: a reservation that would pass the high one evicts down to the low one. */
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
  /** The keys again, by the two characters of their fan-out: what a listing goes through in order. */
  readonly #shelves = new Map<string, Set<string>>();
  readonly #leaving = new Set<string>();
  #removedWhileScanning: Set<string> | undefined = new Set();
  #entryBytes = 0;
  #firstToGoBytes = 0;
  #reservedBytes = 0;
  #leavingBytes = 0;

  constructor(options: DiskIndexOptions) {
    this.#maxBytes = options.maxBytes;
    this.#highBytes = Math.floor(options.maxBytes * options.highWatermark);
    this.#lowBytes = Math.floor(options.maxBytes * options.lowWatermark);
    this.#lowWatermark = options.lowWatermark;
    this.#policy = options.policy;
  }

  get usedBytes(): number {
    return this.#entryBytes + this.#reservedBytes + this.#leavingBytes;
  }

  /**
   * What can be written without evicting an entry that is not marked. A write past the high watermark evicts down to
   * the low one, so marked entries count only for what they hold beyond one such eviction. (It evicts whole chunks, so
   * each eviction may take one more than is counted.)
   */
  get spareBytes(): number {
    const evictedAtOnceBytes = this.#highBytes - this.#lowBytes;
    const replaceableBytes = Math.max(0, this.#firstToGoBytes - evictedAtOnceBytes);
    return Math.max(0, this.#highBytes - this.usedBytes + replaceableBytes);
  }

  get count(): number {
    return this.#entries.size;
  }

  /** Whether every file is known, so that what has no entry is not on disk. */
  get complete(): boolean {
    return this.#removedWhileScanning === undefined;
  }

  keys(): IterableIterator<string> {
    return this.#entries.keys();
  }

  get(key: string): DiskEntry | undefined {
    return this.#entries.get(key);
  }

  /**
   * The next keys behind `after` (empty: from the first), at most `keysMax`, in an order that does not depend on what
   * comes and goes. It sorts a 256th of all keys at a time, so that nobody waits for a page of a large disk.
   */
  keysAfter(after: string, keysMax: number): string[] {
    const found: string[] = [];
    const begin = after === "" ? "00" : fanOutOf(after);
    for (const fanOut of fanOuts) {
      if (found.length === keysMax) break;
      const shelf = fanOut < begin ? undefined : this.#shelves.get(fanOut);
      if (shelf === undefined) continue;
      const keys = fanOut === begin ? [...shelf].filter((key) => key > after) : [...shelf];
      found.push(...keys.sort().slice(0, keysMax - found.length));
    }
    return found;
  }

  presence(key: string): Presence {
    if (this.#entries.has(key)) return "held";
    return this.#removedWhileScanning?.has(key) === false ? "unknown" : "absent";
  }

  add(key: string, sizeBytes: number, sha256?: string): DiskEntry {
    assert(!this.#entries.has(key), "a chunk is indexed once");
    const entry = new DiskEntry(key, sizeBytes);
    entry.sha256 = sha256;
    this.#entries.set(key, entry);
    this.#shelve(key);
    this.#entryBytes += sizeBytes;
    this.#policy.insert(entry);
    return entry;
  }

  /**
   * Tells the policy of a use. Blocks of one chunk read in a row are one use, else a single pass over a large chunk
   * would look like a hundred requests for it, and a scan of the cache would push out what is asked for again.
   */
  touch(entry: DiskEntry, blockIndex: number): void {
    if (blockIndex === 0 || blockIndex !== entry.nextBlock) {
      this.#policy.touch(entry);
      this.#setFirstToGo(entry, false);
    }
    entry.nextBlock = blockIndex + 1;
  }

  /** Nobody will ask for the chunk again, so that it is the first to go. Forgotten with the process. */
  supersede(key: string): void {
    const entry = this.#entries.get(key);
    if (entry !== undefined) this.#policy.supersede(entry);
  }

  /**
   * Marks an entry as the first to be evicted, or removes the mark. Where a use has removed the mark already, the
   * policy has given the entry a place, and it keeps that place.
   */
  evictFirst(key: string, isFirst: boolean): void {
    const entry = this.#entries.get(key);
    if (entry === undefined || entry.isFirstToGo === isFirst) return;
    this.#setFirstToGo(entry, isFirst);
    if (isFirst) return this.#policy.supersede(entry);
    this.#policy.remove(entry);
    this.#policy.reinsert(entry);
  }

  remove(key: string): DiskEntry | undefined {
    const entry = this.#entries.get(key);
    if (entry !== undefined) this.#policy.remove(entry);
    this.#takeOut(key, entry);
    return entry;
  }

  /**
   * Promises `sizeBytes` to a commit. Answers the entries it takes out for that, whose files must be unlinked before a
   * byte is written; undefined where there is no room, or where it is not known yet.
   */
  reserve(sizeBytes: number): DiskEntry[] | undefined {
    const fixedBytes = this.#reservedBytes + this.#leavingBytes + sizeBytes;
    if (!this.complete || fixedBytes > this.#maxBytes) return undefined;
    const fits = this.usedBytes + sizeBytes <= this.#highBytes;
    const victims = fits ? [] : this.#takeVictims(this.#lowBytes - fixedBytes);
    this.#reservedBytes += sizeBytes;
    assert(this.usedBytes <= this.#maxBytes, "bytes on disk never pass disk.max_bytes");
    return victims;
  }

  /** The commit has ended: its bytes are an entry's now, or nobody's. */
  endReservation(sizeBytes: number): void {
    this.#reservedBytes -= sizeBytes;
    assert(this.#reservedBytes >= 0, "a reservation ends once");
  }

  /** Takes out what is above the low watermark where the high one is passed: the disk of an earlier, larger limit. */
  takeSurplus(): DiskEntry[] {
    return this.usedBytes > this.#highBytes ? this.#takeVictims(this.#lowBytes) : [];
  }

  /**
   * Takes out a share of what is held, as from the limit to the low watermark: the medium is full although the limit
   * is not reached, so somebody else uses it, and the limit says nothing.
   */
  takeShare(): DiskEntry[] {
    return this.#takeVictims(Math.ceil(this.#entryBytes * this.#lowWatermark));
  }

  /** Takes out `key`; its bytes stay in the account until {@link endLeaving}. */
  startLeaving(key: string): number {
    const sizeBytes = this.remove(key)?.sizeBytes ?? 0;
    this.#leaving.add(key);
    this.#leavingBytes += sizeBytes;
    return sizeBytes;
  }

  /** The bytes of a file that could not be unlinked are counted for good: nobody knows how to get them back. */
  endLeaving(key: string, sizeBytes: number, gone: boolean): void {
    this.#leaving.delete(key);
    if (gone) this.#leavingBytes -= sizeBytes;
  }

  isLeaving(key: string): boolean {
    return this.#leaving.has(key);
  }

  addScanned(batch: ScanBatch): void {
    for (const [position, key] of batch.keys.entries()) {
      if (this.presence(key) === "unknown") this.add(key, batch.sizesBytes[position] as number);
    }
  }

  endScan(): void {
    this.#removedWhileScanning = undefined;
  }

  #takeVictims(entryBytesMax: number): DiskEntry[] {
    const victims: DiskEntry[] = [];
    while (this.#entryBytes > Math.max(0, entryBytesMax)) {
      const victim = this.#policy.evict();
      assert(victim !== undefined, "the policy knows the entries there are");
      this.#takeOut(victim.key, victim);
      victims.push(victim);
    }
    return victims;
  }

  #takeOut(key: string, entry: DiskEntry | undefined): void {
    this.#removedWhileScanning?.add(key);
    this.#entries.delete(key);
    this.#shelves.get(fanOutOf(key))?.delete(key);
    this.#entryBytes -= entry?.sizeBytes ?? 0;
    if (entry !== undefined) this.#setFirstToGo(entry, false);
  }

  #setFirstToGo(entry: DiskEntry, isFirst: boolean): void {
    if (entry.isFirstToGo === isFirst) return;
    entry.isFirstToGo = isFirst;
    this.#firstToGoBytes += isFirst ? entry.sizeBytes : -entry.sizeBytes;
  }

  #shelve(key: string): void {
    const fanOut = fanOutOf(key);
    const shelf = this.#shelves.get(fanOut);
    if (shelf === undefined) this.#shelves.set(fanOut, new Set([key]));
    else shelf.add(key);
  }
}

/** The first two characters of the hash in `<origin_id>/<hash>/<chunk_index>`. */
function fanOutOf(key: string): string {
  const hashAt = key.lastIndexOf("/", key.lastIndexOf("/") - 1) + 1;
  return key.slice(hashAt, hashAt + 2);
}
