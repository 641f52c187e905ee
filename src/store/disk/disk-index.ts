/**
 * The chunks that the disk tier believes to be on disk, and the account of their bytes and their number. It holds only
 * names and sizes: the content of a file is trusted only after its footer was checked at opening. Bytes are sizes of files,
 * footers included, because `disk.max_bytes` bounds these. Directories, and the rounding to blocks of the file system, do
 * not count.
 *
 * Invariants:
 * 1. usedBytes is the sum of the sizes of all entries, of the reservations for commits, and of the files being deleted.
 * 2. After the scan, usedBytes <= maxBytes: nothing is reserved before its end, and only what fits after it. There is a
 *    row for each reservation.
 * 3. The policy holds exactly the rows of the table, except for those that wait in #order for the end of the scan. (It
 *    passes pinned rows over: pins/disk-pins.ts.)
 * 4. The scan does not add a path that was removed before its end, because it may have seen the file before the unlink.
 */
import { assert } from "../../base/assert.ts";
import { LruMap } from "../../base/lru-map.ts";
import type { ObjectVersion } from "../../chunk/object-version.ts";
import type { ChunkKey, Presence } from "../chunk-store.ts";
import { ChunkTable } from "../chunk-table/chunk-table.ts";
import { RowMarks, type UsePeriods } from "../chunk-table/row-marks.ts";
import { type EvictionPolicy, type NewPolicy, noRow } from "../eviction/eviction-policy.ts";
import { supersedeSliceMax } from "../eviction/superseder.ts";
import type { ScanBatch } from "./disk-job.ts";
import { DiskLimits, type DiskLimitsOptions, sliceMax } from "./disk-limits.ts";
import {
  DiskEntry,
  type EntryFacts,
  type FileOnDisk,
  HeldEntries,
  nothingReserved,
  type Reserved,
} from "./held-entries.ts";
import { ScanOrder } from "./scan-order.ts";
import { noShare } from "./shares/disk-share.ts";
import type { DiskShares } from "./shares/disk-shares.ts";

/** The SHA-256 of a chunk is needed after its commit, and while a peer copies it. Each costs about 300 bytes. */
const digestsMax = 4096;

export interface DiskIndexOptions extends DiskLimitsOptions {
  readonly policy: NewPolicy;
  readonly marks?: UsePeriods | undefined;
  readonly shares?: DiskShares | undefined;
}

export class DiskIndex {
  /** Undefined where none is configured. */
  readonly shares: DiskShares | undefined;
  readonly #limits: DiskLimits;
  readonly #table: ChunkTable;
  readonly #policy: EvictionPolicy;
  readonly #held = new HeldEntries();
  /** By row. */
  readonly #digests = new LruMap<number, string>({ entriesMax: digestsMax });
  readonly #deletions = new Set<string>();
  readonly #marks: RowMarks;
  #removedWhileScanning: Set<string> | undefined = new Set();
  /** Until the end of the scan. */
  #order: ScanOrder | undefined;
  #entryBytes = 0;
  #reservedBytes = 0;
  #reservations = 0;
  #deletionBytes = 0;
  #isTrimming = false;

  constructor(options: DiskIndexOptions) {
    const { maxChunks } = options;
    this.#limits = new DiskLimits(options);
    this.#table = new ChunkTable(maxChunks);
    this.#policy = options.policy(this.#table, maxChunks);
    this.#marks = new RowMarks(this.#table, options.marks);
    this.shares = options.shares;
    this.#order = new ScanOrder(maxChunks);
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
    const evictedAtOnceBytes = this.#limits.highBytes - this.#limits.lowBytes;
    const replaceableBytes = Math.max(0, this.#marks.firstToGoBytes - evictedAtOnceBytes);
    return Math.max(0, this.#limits.highBytes - this.usedBytes + replaceableBytes);
  }

  /** Entries: whole chunks, and blocks of partial ones. */
  get count(): number {
    return this.#table.count;
  }

  get blockCount(): number {
    return this.#table.blockCount;
  }

  get maxChunks(): number {
    return this.#limits.maxChunks;
  }

  /** Whether every file is known: then a chunk without an entry is not on disk. */
  get complete(): boolean {
    return this.#removedWhileScanning === undefined;
  }

  /** Paths of the entries of this moment that are held when their turn comes. */
  *paths(): Generator<string> {
    const { rowsUsed } = this.#table;
    for (let row = 1; row <= rowsUsed; row += 1) {
      if (this.#table.isUsed(row)) yield this.#table.pathOf(row);
    }
  }

  has(path: string): boolean {
    return this.#table.rowOfPath(path) !== noRow;
  }

  /** Size of the file of a chunk; 0 if it has no entry. */
  sizeOf(path: string): number {
    return this.#table.sizeOf(this.#table.rowOfPath(path));
  }

  /** The entry, which the caller releases. Undefined if there is none. */
  hold(path: string): DiskEntry | undefined {
    const row = this.#table.rowOfPath(path);
    if (row === noRow) return undefined;
    const entry = this.#held.get(row) ?? new DiskEntry(path, this.#table.sizeOf(row), row);
    this.#held.hold(entry);
    return entry;
  }

  release(entry: DiskEntry): void {
    this.#held.release(entry);
  }

  /** Hex SHA-256 of a chunk that was committed or opened lately. */
  sha256(path: string): string | undefined {
    return this.#digests.get(this.#table.rowOfPath(path));
  }

  /** For a chunk that has an entry. */
  noteSha256(path: string, sha256: string): void {
    this.#digests.set(this.#table.rowOfPath(path), sha256);
  }

  /** The next paths in an order that does not change when chunks are stored or deleted. */
  pathsAfter(after: string, pathsMax: number, fromOrder?: number): string[] {
    return this.#table.pathsAfter(after, pathsMax, fromOrder);
  }

  presence(path: string): Presence {
    return this.has(path) ? "held" : this.#presenceOfUnlisted(path);
  }

  presenceOf({ version, index }: ChunkKey): Presence {
    if (this.#table.rowOf(version.originId, version.hash, index) !== noRow) return "held";
    return this.complete ? "absent" : this.#presenceOfUnlisted(version.chunkPath(index));
  }

  /** Whether the index can hold this path. It can hold the path of every chunk of a real object. */
  canName(path: string): boolean {
    return this.#table.canName(path);
  }

  /** Whether there is a row as well. A reservation ensures that. */
  canAdd(path: string): boolean {
    return this.#table.canAdd(path);
  }

  add(path: string, sizeBytes: number, { sha256, usedAtMs, share = noShare }: EntryFacts = {}): void {
    const row = this.#table.add(path, sizeBytes);
    this.#table.setNote(row, 0);
    this.#table.setMarks(row, 0);
    this.shares?.add(row, share, sizeBytes);
    if (sha256 !== undefined) this.#digests.set(row, sha256);
    this.#entryBytes += sizeBytes;
    if (this.#order?.isOpen === true) this.#order.wait(row, usedAtMs);
    else this.#policy.insert(row);
  }

  /**
   * Reports a use to the policy. A sequential read of a chunk's blocks is one use. If each block was a use, such a read
   * of a large chunk would look like a hundred requests for it, and a scan would evict chunks that clients request
   * again. The row notes the block after the one read last, without its upper bits: a read of it continues an earlier one.
   * Returns whether there is an entry.
   */
  touch({ version, index }: ChunkKey, blockIndex: number): boolean {
    const row = this.#table.rowOf(version.originId, version.hash, index);
    if (row === noRow) return false;
    if (blockIndex === 0 || (blockIndex & 0xff) !== this.#table.noteOf(row)) {
      if (this.#order?.use(row) !== true) this.#policy.touch(row);
      this.#marks.setFirstToGo(row, false);
      this.#marks.use(row);
    }
    this.#table.setNote(row, blockIndex + 1);
    return true;
  }

  /**
   * Makes chunks of a version the first to be evicted, because its object has changed. A restart forgets this. It
   * handles one slice of them, and returns how many it has handled. Each chunk is superseded once.
   */
  supersede({ originId, hash }: ObjectVersion): number {
    for (let done = 0; done < supersedeSliceMax; done += 1) {
      const row = this.#table.detachOneOf(originId, hash);
      if (row === noRow) return done;
      this.#order?.forget(row);
      this.#policy.supersede(row);
    }
    return supersedeSliceMax;
  }

  /**
   * Marks an entry as the first to be evicted, or removes the mark. If a use has removed the mark already, the entry
   * keeps the place that the policy has given it.
   */
  evictFirst(path: string, isFirst: boolean): void {
    const row = this.#table.rowOfPath(path);
    if (row === noRow || !this.#marks.setFirstToGo(row, isFirst)) return;
    this.#order?.forget(row);
    if (isFirst) return this.#policy.supersede(row);
    this.#policy.remove(row);
    this.#policy.reinsert(row);
  }

  /** Adds an entry again whose file could not be unlinked. If there is no row for it, its bytes count forever. */
  restore({ path, sizeBytes, share }: FileOnDisk): void {
    if (this.canAdd(path)) this.add(path, sizeBytes, { share });
    else this.#deletionBytes += sizeBytes;
  }

  /** Whether there was an entry. */
  remove(path: string): boolean {
    this.#removedWhileScanning?.add(path);
    const row = this.#table.rowOfPath(path);
    if (row === noRow) return false;
    this.#policy.remove(row);
    this.#removeRow(row);
    return true;
  }

  /**
   * Reserves `sizeBytes` for a commit, if the free room is known and one slice of victims makes room. The files of the
   * victims must be unlinked in any case, and before the first byte is written.
   */
  reserve(sizeBytes: number): Reserved {
    const fixedBytes = this.#reservedBytes + this.#deletionBytes + sizeBytes;
    if (
      !this.complete ||
      fixedBytes > this.#limits.maxBytes ||
      this.#reservations >= this.#limits.maxChunks
    ) {
      return nothingReserved;
    }
    const chunks = this.count + this.#reservations + 1;
    const fits = this.usedBytes + sizeBytes <= this.#limits.highBytes && chunks <= this.#limits.highChunks;
    const victims = fits ? [] : this.#takeVictims(this.#limits.lowBytes - fixedBytes, this.#lowChunksLeft(1));
    if (victims.length === sliceMax) this.#isTrimming = true;
    const isReserved =
      this.usedBytes + sizeBytes <= this.#limits.maxBytes &&
      this.count + this.#reservations < this.#limits.maxChunks;
    if (isReserved) {
      this.#reservedBytes += sizeBytes;
      this.#reservations += 1;
    }
    return { isReserved, victims };
  }

  /** The commit has ended: its bytes belong to an entry now, or are not on disk. */
  endReservation(sizeBytes: number): void {
    this.#reservedBytes -= sizeBytes;
    this.#reservations -= 1;
    assert(this.#reservedBytes >= 0 && this.#reservations >= 0, "a reservation ends once");
  }

  /** Whether an eviction down to the low watermark has begun and not ended. {@link takeExcess} goes on with it. */
  get isTrimming(): boolean {
    return (
      this.#isTrimming || this.usedBytes > this.#limits.highBytes || this.count > this.#limits.highChunks
    );
  }

  /** The next slice of an eviction down to the low watermark; empty at its end. */
  takeExcess(): FileOnDisk[] {
    if (!this.isTrimming) return [];
    const entryBytesMax = this.#limits.lowBytes - this.#reservedBytes - this.#deletionBytes;
    const victims = this.#takeVictims(entryBytesMax, this.#lowChunksLeft(0));
    this.#isTrimming = victims.length === sliceMax;
    return victims;
  }

  /**
   * The bytes of entries that stay if the share above the low watermark goes, as if the limit was reached. The medium is
   * full before the limit, so other programs use it, too, and the limit does not help.
   */
  get shareThatStaysBytes(): number {
    return Math.ceil(this.#entryBytes * this.#limits.lowWatermark);
  }

  /**
   * The next slice of an eviction until the entries have at most `entryBytesMax`; empty at its end. Shares do not hold,
   * because nothing could be stored otherwise.
   */
  takeDownTo(entryBytesMax: number): FileOnDisk[] {
    return this.#takeVictims(entryBytesMax, this.#limits.maxChunks, true);
  }

  /** Removes the entry for a deletion. Its bytes stay in the account until {@link endDeletion}. */
  startDeletion(path: string): number {
    const sizeBytes = this.sizeOf(path);
    this.remove(path);
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
      const isNew = this.presence(path) === "unknown" && this.canAdd(path);
      if (!isNew) continue;
      const facts = { usedAtMs: batch.usedAtMs[position], share: batch.shares?.[position] };
      this.add(path, batch.sizesBytes[position] as number, facts);
    }
  }

  /** The times of the rows that wait for their place, for `sortedRows`. From now on no row begins to wait. */
  timesOfUse(): Uint32Array {
    return this.#order?.close(this.#table.rowsUsed) ?? new Uint32Array();
  }

  /** Gives the policy a slice of the rows that wait, in the order of `rows`. */
  rank(rows: Uint32Array, from: number): void {
    this.#order?.rank(rows.subarray(from, from + sliceMax), this.#policy);
  }

  endScan(): void {
    this.#removedWhileScanning = undefined;
    this.#order = undefined;
  }

  /** Paths of those of the rows whose chunk was used. A row may hold another chunk than at the use. */
  pathsOf(rows: readonly number[]): string[] {
    const wasUsed = (row: number): boolean => this.#table.isUsed(row) && this.#marks.wasUsed(row);
    return rows.filter(wasUsed).map((row) => this.#table.pathOf(row));
  }

  #presenceOfUnlisted(path: string): Presence {
    return this.#removedWhileScanning?.has(path) === false ? "unknown" : "absent";
  }

  /** The number of entries at the low watermark, if `more` are reserved. */
  #lowChunksLeft(more: number): number {
    return Math.max(0, this.#limits.lowChunks - this.#reservations - more);
  }

  #takeVictims(entryBytesMax: number, entriesMax: number, any = false): FileOnDisk[] {
    const victims: FileOnDisk[] = [];
    while (
      victims.length < sliceMax &&
      (this.#entryBytes > Math.max(0, entryBytesMax) || this.count > entriesMax)
    ) {
      const row = this.#policy.evict(any);
      // The other rows are pinned, or in the share of their bucket.
      if (row === noRow) break;
      const share = this.shares?.numberOfRow(row);
      const victim: FileOnDisk = { path: this.#table.pathOf(row), sizeBytes: this.#table.sizeOf(row), share };
      this.#removeRow(row);
      victims.push(victim);
    }
    return victims;
  }

  #removeRow(row: number): void {
    this.#held.remove(row);
    this.#order?.forget(row);
    this.#digests.delete(row);
    this.#marks.setFirstToGo(row, false);
    this.#entryBytes -= this.#table.sizeOf(row);
    this.shares?.remove(row, this.#table.sizeOf(row));
    this.#table.remove(row);
  }
}
