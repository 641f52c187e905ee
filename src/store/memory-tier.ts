/**
 * Chunks in memory, whole or partial. The tier has no capacity of its own: it uses the memory that the budget leaves,
 * and evicts one chunk after the other when the budget needs room. Everything here is synchronous, because a hit is
 * answered without an await.
 *
 * Invariants:
 * 1. The policy holds exactly the entries of the map, and the tier has one hold on each of their chunks.
 * 2. Small chunks, which use one piece of a slab, are also in the set of their slab. They have one block, so they are
 *    never partial.
 * 3. stats.bytes is the sum of the bytes that these chunks hold, and stats.chunks is their number. #heapBytes is the sum
 *    of their memoryChunkCost, and charged to the budget.
 * 4. A version is linked to entries of its own chunks, one for each, and to none that was dropped.
 * 5. A chunk becomes whole in one put, however many flights fetch its blocks: that put returns it, and no other does.
 */

import { LruMap } from "../base/lru-map.ts";
import type { MemoryBudget } from "../base/memory-budget.ts";
import { largestPieceBytes, pieceSizeFor } from "../base/segment-pool.ts";
import type { ChunkBytes } from "../chunk/chunk-bytes.ts";
import { memoryChunkCost, memoryChunkCostBytes, publishedChunkCost } from "../chunk/chunk-costs.ts";
import { isBelow, type ObjectPrefix } from "../chunk/object-prefix.ts";
import type { ObjectVersion } from "../chunk/object-version.ts";
import type { PolicyEntries } from "./eviction/eviction-policy.ts";
import { hashOfText } from "./eviction/shared-columns.ts";
import { Superseder, supersedeSliceMax } from "./eviction/superseder.ts";
import { TunedS3Fifo } from "./eviction/tuned-s3-fifo.ts";
import { MemoryEntry, memoryOf } from "./memory-entry.ts";
import type { PublishedChunks, PublishedRows } from "./shared-index/published-chunks.ts";

/** After so many victims in a row that free no memory at once, a reservation waits instead of emptying the tier. */
const pinnedVictimsMax = 16;

/** After so many small victims in a row whose slabs were spared, the next slab is freed, however many of its chunks are used. */
const sparedInRowMax = 128;

/**
 * The tier remembers the misses of as many chunks as it holds, and at least of this many: a tier that is full of a few large
 * chunks has room for many small ones.
 */
const missesRememberedMin = 4096;

export interface MemoryTierOptions {
  readonly budget: MemoryBudget;
  /** The heap that the chunks may cost besides their bytes. Unbounded by default. */
  readonly heapBytesMax?: number;
  /** Left out where no other thread reads the chunks. */
  readonly published?: PublishedChunks | undefined;
}

export class MemoryTier implements PolicyEntries {
  readonly stats = { hits: 0, misses: 0, evictions: 0, bytes: 0, chunks: 0 };
  readonly #budget: MemoryBudget;
  readonly #policy: TunedS3Fifo;
  readonly #heapBytesMax: number;
  readonly #published: PublishedChunks | undefined;
  /** By the row of the chunk: those of its blocks, where other threads read them. */
  readonly #publishedRows: (PublishedRows | undefined)[] = [];
  #heapBytes = 0;
  #sparedInRow = 0;
  readonly #entries = new Map<string, MemoryEntry>();
  readonly #superseder = new Superseder((version, from) => this.#supersedeSlice(version, from));
  /** The entries by their rows. No entry has row 0. */
  readonly #rows: (MemoryEntry | undefined)[] = [undefined];
  readonly #freeRows: number[] = [];
  readonly #smallBySlab = new Map<ArrayBufferLike, Set<MemoryEntry>>();
  /** How often a chunk that is not held was asked for. */
  readonly #misses = new LruMap<string, number>({ entriesMax: missesRememberedMin });

  constructor(options: MemoryTierOptions) {
    const { budget, heapBytesMax = Infinity } = options;
    this.#budget = budget;
    this.#heapBytesMax = heapBytesMax;
    this.#published = options.published;
    const rowsMax = Math.min(budget.maxBytes / pieceSizeFor(1), heapBytesMax / memoryChunkCostBytes);
    this.#policy = new TunedS3Fifo(this, Math.floor(rowsMax));
    budget.addReclaimer((wholeSlabs) => this.#makeRoom(wholeSlabs));
  }

  get bytes(): number {
    return this.stats.bytes;
  }

  /** For the policy. */
  sizeOf(row: number): number {
    return this.#rows[row]?.sizeBytes ?? 0;
  }

  /** For the policy. */
  hashOf(row: number): number {
    return this.#rows[row]?.hash ?? 0;
  }

  /** For the policy. */
  takeUses(row: number): number {
    const rows = this.#publishedRows[row];
    return rows ? (this.#published?.takeUses(rows) ?? 0) : 0;
  }

  /**
   * The chunk, for a use of the block at `offset` that counts; undefined where that block is not held. The tier still
   * owns the chunk: a caller that keeps it takes a hold of its own.
   */
  get(memoryKey: string, offset = 0): ChunkBytes | undefined {
    return this.#used(this.#entries.get(memoryKey), memoryKey, offset);
  }

  /**
   * As {@link get}. It makes and compares no key after the first time: to lay out and hash a text of some 85 characters costs
   * more than the rest of a look-up, and with many small objects each of these texts would be read from memory that no
   * cache of the processor holds.
   */
  getOf(version: ObjectVersion, index: number, offset: number): ChunkBytes | undefined {
    const known = this.#linkedTo(version, index);
    if (known) return this.#used(known, known.key, offset);
    const memoryKey = version.memoryKey(index);
    const entry = this.#entries.get(memoryKey);
    entry?.link(version, index);
    return this.#used(entry, memoryKey, offset);
  }

  #linkedTo(version: ObjectVersion, index: number): MemoryEntry | undefined {
    const { memoryEntry } = version;
    const known = memoryEntry instanceof Map ? memoryEntry.get(index) : memoryEntry;
    // With two tiers in a process, the entry may be one of the other tier.
    if (!(known instanceof MemoryEntry) || this.#rows[known.row] !== known) return undefined;
    const mayBeAnother = known === memoryEntry && version.chunkCount > 1;
    return mayBeAnother && !known.isAt(index) ? undefined : known;
  }

  #used(entry: MemoryEntry | undefined, memoryKey: string, offset: number): ChunkBytes | undefined {
    if (entry !== undefined) this.#policy.touch(entry.row);
    if (entry?.chunk.segmentAt(offset) === undefined) {
      this.stats.misses += 1;
      this.#noteMiss(memoryKey);
      return undefined;
    }
    this.stats.hits += 1;
    return entry.chunk;
  }

  /** The chunk, for a look that does not count as a use. */
  peek(memoryKey: string): ChunkBytes | undefined {
    return this.#entries.get(memoryKey)?.chunk;
  }

  /**
   * Stores the blocks of a chunk that are not held yet, with a hold of its own on each. Does nothing where the heap has no
   * room for an entry. Returns the chunk, which the tier owns, if this put made it whole. `ahead`: the blocks were
   * fetched before any reader asked for them. A chunk that is put without its version matches no prefix.
   */
  put(memoryKey: string, chunk: ChunkBytes, ahead = false, version?: ObjectVersion): ChunkBytes | undefined {
    const held = this.#entries.get(memoryKey);
    if (held) return this.#grow(held, chunk);
    const heapBytes = this.#heapCostOf(chunk);
    if (!this.#makeHeapRoom(heapBytes) || !this.#budget.tryCharge(heapBytes)) return undefined;
    this.#heapBytes += heapBytes;
    const row = this.#freeRows.pop() ?? this.#rows.length;
    const entry = new MemoryEntry(memoryKey, chunk.share(), version, row);
    this.#entries.set(memoryKey, entry);
    this.#rows[row] = entry;
    this.#policy.insert(row, ahead);
    this.#joinSlab(entry);
    this.#misses.delete(memoryKey);
    this.#publish(entry);
    this.stats.bytes += chunk.heldBytes;
    this.stats.chunks += 1;
    return entry.chunk.isWhole ? entry.chunk : undefined;
  }

  /** Adds blocks to a chunk that is held in part. Those that it holds already stay. */
  #grow(entry: MemoryEntry, added: ChunkBytes): ChunkBytes | undefined {
    const { chunk } = entry;
    if (chunk.isWhole) return undefined;
    this.stats.bytes -= chunk.heldBytes;
    chunk.add(added);
    this.stats.bytes += chunk.heldBytes;
    this.#publish(entry);
    const sizeBefore = entry.sizeBytes;
    entry.sizeBytes = memoryOf(chunk);
    this.#policy.grow(entry.row, entry.sizeBytes - sizeBefore);
    return chunk.isWhole ? chunk : undefined;
  }

  #publish(entry: MemoryEntry): void {
    const { version, key, chunk, row } = entry;
    if (this.#published === undefined || version === undefined) return;
    const rows = (this.#publishedRows[row] ??= new Array<undefined>(chunk.blockCount).fill(undefined));
    this.#published.publish(version, Number(key.slice(key.lastIndexOf("/") + 1)), chunk, rows);
  }

  delete(memoryKey: string): void {
    const entry = this.#entries.get(memoryKey);
    if (entry === undefined) return;
    this.#policy.remove(entry.row);
    this.#drop(entry);
  }

  /**
   * Makes the chunks of a version the first to be evicted: its object has another ETag now, and new readers do not ask
   * for this version. A reader that has begun still finds them while there is room.
   */
  supersede(version: ObjectVersion): void {
    this.#superseder.add(version);
  }

  /** Walks over the chunks of the version or over the rows, whichever are fewer. */
  #supersedeSlice(version: ObjectVersion, from: number): number | undefined {
    const end = Math.min(version.chunkCount, this.#rows.length);
    const byRow = end < version.chunkCount;
    const keyPrefix = version.memoryKey(0).slice(0, -1);
    const next = from + supersedeSliceMax;
    for (let at = from; at < Math.min(next, end); at += 1) {
      const entry = byRow ? this.#rows[at] : this.#entries.get(version.memoryKey(at));
      if (entry?.key.startsWith(keyPrefix)) this.#policy.supersede(entry.row);
    }
    return next < end ? next : undefined;
  }

  /** The keys of the objects below `prefix`, once for each chunk. */
  *objectKeys(prefix: ObjectPrefix): Generator<string> {
    for (const { version } of this.#entries.values()) {
      if (version && isBelow(prefix, version)) yield version.objectKey;
    }
  }

  /** Deletes the chunks of all objects, or of those below `prefix`. Chunks that readers hold free their memory later. */
  clear(prefix?: ObjectPrefix): { readonly chunks: number; readonly bytes: number } {
    const { chunks, bytes } = this.stats;
    for (const [memoryKey, { version }] of this.#entries) {
      if (prefix === undefined || (version && isBelow(prefix, version))) this.delete(memoryKey);
    }
    return { chunks: chunks - this.stats.chunks, bytes: bytes - this.stats.bytes };
  }

  /**
   * Whether a chunk that is not held was requested before the {@link get} that has just missed it: it was evicted
   * lately, or missed twice. Such a chunk is worth reading from disk as a whole.
   */
  wasSeen(memoryKey: string): boolean {
    return (this.#misses.peek(memoryKey) ?? 0) > 1 || this.#policy.remembers(hashOfText(memoryKey));
  }

  #noteMiss(memoryKey: string): void {
    this.#misses.entriesMax = Math.max(missesRememberedMin, this.#entries.size);
    this.#misses.set(memoryKey, (this.#misses.peek(memoryKey) ?? 0) + 1);
  }

  /** Whether the heap has room for an entry. */
  #makeHeapRoom(heapBytes: number): boolean {
    const leftBytes = this.#heapBytesMax - heapBytes;
    while (this.#heapBytes > leftBytes && this.#makeRoom(false));
    return this.#heapBytes <= leftBytes;
  }

  /**
   * Makes some room: evicts one chunk that frees memory at once. Victims before it that others hold as a whole are in
   * use, so they are inserted again. If there are only such victims, they are evicted, although that frees no memory
   * yet. Their memory is freed when their users finish, which wakes a waiting reservation. It would not be freed if the
   * tier kept its holds.
   */
  #makeRoom(wholeSlabs: boolean): boolean {
    const pinned: MemoryEntry[] = [];
    while (pinned.length < pinnedVictimsMax) {
      const row = this.#policy.evict();
      const victim = this.#rows[row];
      if (victim === undefined) break;
      if (this.#freesMemory(victim)) {
        for (const entry of pinned) this.#policy.reinsert(entry.row);
        const slab = slabOf(victim.chunk);
        this.#evict(victim);
        if (wholeSlabs) this.#freeSlab(slab);
        return true;
      }
      pinned.push(victim);
    }
    for (const entry of pinned) {
      // An eviction may serve a waiter, which comes here again. It evicts the neighbours of its victim that are free, and a
      // thread may have unpinned this one meanwhile.
      if (this.#rows[entry.row] === entry) this.#evict(entry);
    }
    return false;
  }

  /**
   * Frees the rest of the slab of a small victim. After some time a slab contains small chunks of any age. If they were
   * evicted in the order of the policy, nearly all small chunks would be evicted before a few slabs were free.
   *
   * A slab is spared while many of its chunks are used: one small victim would else cost hundreds of chunks that are read all
   * the time, where the next victim may be a large chunk that nobody reads. The more victims in a row have spared their slabs,
   * the more used chunks a slab may contain.
   */
  #freeSlab(slab: ArrayBufferLike | undefined): void {
    const neighbours = slab && this.#smallBySlab.get(slab);
    if (neighbours && this.#isUsedMoreThan(neighbours, this.#sparedInRow / sparedInRowMax)) {
      this.#sparedInRow += 1;
      return;
    }
    this.#sparedInRow = 0;
    for (const entry of neighbours ?? []) {
      if (!this.#freesMemory(entry)) continue;
      this.#policy.evictEarly(entry.row);
      this.#evict(entry);
    }
  }

  /** Whether more than this share of the entries was used since its last turn. */
  #isUsedMoreThan(entries: ReadonlySet<MemoryEntry>, share: number): boolean {
    let left = share * entries.size;
    for (const { row } of entries) {
      if (this.#policy.isUsed(row)) left -= 1;
      if (left < 0) return true;
    }
    return false;
  }

  #joinSlab(entry: MemoryEntry): void {
    const slab = slabOf(entry.chunk);
    if (slab === undefined) return;
    const neighbours = this.#smallBySlab.get(slab);
    if (neighbours) neighbours.add(entry);
    else this.#smallBySlab.set(slab, new Set([entry]));
  }

  #leaveSlab(entry: MemoryEntry): void {
    const slab = slabOf(entry.chunk);
    const neighbours = slab && this.#smallBySlab.get(slab);
    neighbours?.delete(entry);
    if (slab && neighbours?.size === 0) this.#smallBySlab.delete(slab);
  }

  #evict(entry: MemoryEntry): void {
    this.stats.evictions += 1;
    this.#drop(entry);
  }

  #drop(entry: MemoryEntry): void {
    this.#entries.delete(entry.key);
    entry.unlink();
    this.#rows[entry.row] = undefined;
    this.#freeRows.push(entry.row);
    this.#leaveSlab(entry);
    const heapBytes = this.#heapCostOf(entry.chunk);
    this.#heapBytes -= heapBytes;
    this.#budget.discharge(heapBytes);
    this.stats.bytes -= entry.chunk.heldBytes;
    this.stats.chunks -= 1;
    const rows = this.#publishedRows[entry.row];
    if (rows) {
      this.#published?.withdraw(entry.chunk, rows);
      this.#publishedRows[entry.row] = undefined;
    }
    entry.chunk.release();
  }

  #heapCostOf({ blockCount }: ChunkBytes): number {
    return memoryChunkCost(blockCount) + (this.#published ? publishedChunkCost(blockCount) : 0);
  }

  #freesMemory({ chunk, row }: MemoryEntry): boolean {
    const rows = this.#publishedRows[row];
    for (let block = 0; block < chunk.blockCount; block += 1) {
      if (chunk.block(block)?.references !== 1) continue;
      if (rows === undefined || this.#published?.isPinned(rows, block) !== true) return true;
    }
    return false;
  }
}

/** The slab that a small chunk shares with others; undefined for a chunk with slabs of its own. */
function slabOf(chunk: ChunkBytes): ArrayBufferLike | undefined {
  return chunk.lengthBytes <= largestPieceBytes ? chunk.block(0)?.bytes.buffer : undefined;
}
