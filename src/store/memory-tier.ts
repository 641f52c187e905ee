/**
 * Whole chunks in memory, for as long as nobody needs their room more. The tier has no capacity of its own: it holds
 * what the memory budget leaves, and lets go chunk by chunk when the budget asks. Everything here is synchronous,
 * because a hit is answered without an await.
 *
 * Invariants:
 * 1. The policy holds exactly the entries of the map, and the tier one hold on each of their chunks.
 * 2. Small chunks, those of one piece of a slab, stand in the set of their slab as well.
 * 3. stats.bytes and stats.chunks are the sum of the lengths and the number of those chunks.
 */
import { LruMap } from "../base/lru-map.ts";
import type { MemoryBudget } from "../base/memory-budget.ts";
import { largestPieceBytes, pieceSizeFor } from "../base/segment-pool.ts";
import type { ChunkBytes } from "../chunk/chunk-bytes.ts";
import { isBelow, type ObjectPrefix } from "../chunk/object-prefix.ts";
import type { ObjectVersion } from "../chunk/object-version.ts";
import { Evictable } from "./eviction/evictable.ts";
import type { EvictionPolicy } from "./eviction/eviction-policy.ts";
import { TunedS3Fifo } from "./eviction/tuned-s3-fifo.ts";

/** Victims in a row that free nothing at once, after which a reservation had better wait than empty the tier. */
const pinnedVictimsMax = 16;

/** Misses of the last so many chunks are remembered: as many as are held, and these where fewer are. */
const missesRememberedMin = 128;

/**
 * To the policy a chunk is as large as the memory it takes. By its length, the smallest chunks would weigh next to
 * nothing, and the keys of evicted ones, remembered up to a share of what is held, would be millions.
 */
class MemoryEntry extends Evictable {
  readonly chunk: ChunkBytes;
  /** A name holds a hash; this is what is asked for its bucket and key. */
  readonly version: ObjectVersion | undefined;

  constructor(path: string, chunk: ChunkBytes, version: ObjectVersion | undefined) {
    super(path, memoryOf(chunk));
    this.chunk = chunk;
    this.version = version;
  }
}

export interface MemoryTierOptions {
  readonly budget: MemoryBudget;
}

export class MemoryTier {
  readonly stats = { hits: 0, misses: 0, evictions: 0, bytes: 0, chunks: 0 };
  readonly #policy: EvictionPolicy<MemoryEntry> = new TunedS3Fifo();
  readonly #entries = new Map<string, MemoryEntry>();
  readonly #smallBySlab = new Map<ArrayBufferLike, Set<MemoryEntry>>();
  /** How often a chunk that is not held was asked for. */
  readonly #misses = new LruMap<string, number>({ entriesMax: missesRememberedMin });

  constructor(options: MemoryTierOptions) {
    options.budget.addReclaimer((wholeSlabs) => this.#letGo(wholeSlabs));
  }

  get bytes(): number {
    return this.stats.bytes;
  }

  /** The chunk, for a use that counts. It stays the tier's own: the caller shares or retains what it keeps. */
  get(path: string): ChunkBytes | undefined {
    const entry = this.#entries.get(path);
    if (entry === undefined) {
      this.stats.misses += 1;
      this.#noteMiss(path);
      return undefined;
    }
    this.stats.hits += 1;
    this.#policy.touch(entry);
    return entry.chunk;
  }

  /** The chunk, for a look that is not a use. */
  peek(path: string): ChunkBytes | undefined {
    return this.#entries.get(path)?.chunk;
  }

  /**
   * Keeps a chunk, by a hold of its own. Nothing happens where it is held already. `ahead` says that the chunk was
   * fetched before anybody asked for it. A chunk that is put without its version belongs to no prefix.
   */
  put(path: string, chunk: ChunkBytes, ahead = false, version?: ObjectVersion): void {
    if (this.#entries.has(path)) return;
    const entry = new MemoryEntry(path, chunk.share(), version);
    this.#entries.set(path, entry);
    this.#policy.insert(entry, ahead);
    this.#joinSlab(entry);
    this.#misses.delete(path);
    this.stats.bytes += chunk.lengthBytes;
    this.stats.chunks += 1;
  }

  delete(path: string): void {
    const entry = this.#entries.get(path);
    if (entry === undefined) return;
    this.#policy.remove(entry);
    this.#drop(entry);
  }

  /**
   * Lets the chunks of a version be the first to go: its object is known by another ETag, and nobody who asks for it now
   * will ask for them. A reader that is under way finds them for as long as there is room.
   */
  supersede(version: ObjectVersion): void {
    for (let index = 0; index < version.chunkCount; index += 1) {
      const entry = this.#entries.get(version.memoryKey(index));
      if (entry !== undefined) this.#policy.supersede(entry);
    }
  }

  /** Lets go of the chunks of all objects, or of those below `prefix`. What readers still hold frees its memory later. */
  clear(prefix?: ObjectPrefix): { readonly chunks: number; readonly bytes: number } {
    const { chunks, bytes } = this.stats;
    for (const [path, { version }] of this.#entries) {
      if (prefix === undefined || (version && isBelow(prefix, version))) this.delete(path);
    }
    return { chunks: chunks - this.stats.chunks, bytes: bytes - this.stats.bytes };
  }

  /**
   * Whether a chunk that is not held was asked for before the {@link get} that has just missed it: it was evicted
   * lately, or missed twice. Such a chunk is worth bringing from disk as a whole.
   */
  wasSeen(path: string): boolean {
    return (this.#misses.peek(path) ?? 0) > 1 || this.#policy.remembers(path);
  }

  #noteMiss(path: string): void {
    this.#misses.entriesMax = Math.max(missesRememberedMin, this.#entries.size);
    this.#misses.set(path, (this.#misses.peek(path) ?? 0) + 1);
  }

  /**
   * Makes some room: evicts one chunk that frees memory at once, and puts back those that others hold in whole, for
   * they are in use. Where only such chunks come up, they are let go of, though it frees nothing yet: whoever waits for
   * memory is woken when their users finish, and would not be if the tier went on holding them.
   */
  #letGo(wholeSlabs: boolean): boolean {
    const pinned: MemoryEntry[] = [];
    while (pinned.length < pinnedVictimsMax) {
      const victim = this.#policy.evict();
      if (victim === undefined) break;
      if (freesMemory(victim.chunk)) {
        for (const entry of pinned) this.#policy.reinsert(entry);
        this.#evict(victim);
        if (wholeSlabs) this.#evictNeighbours(victim);
        return true;
      }
      pinned.push(victim);
    }
    for (const entry of pinned) this.#evict(entry);
    return false;
  }

  /**
   * Frees the rest of the slab that a small victim was a part of. After some time the small chunks of a slab are of any
   * age, and in the order of the policy nearly all small chunks would have to go until a few slabs were free.
   */
  #evictNeighbours(victim: MemoryEntry): void {
    const slab = slabOf(victim.chunk);
    const neighbours = slab && this.#smallBySlab.get(slab);
    for (const entry of neighbours ?? []) {
      if (!freesMemory(entry.chunk)) continue;
      this.#policy.remove(entry);
      this.#evict(entry);
    }
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
    this.#leaveSlab(entry);
    this.stats.bytes -= entry.chunk.lengthBytes;
    this.stats.chunks -= 1;
    entry.chunk.release();
  }
}

/** Bytes of the pieces of slabs that a chunk lies in. */
function memoryOf(chunk: ChunkBytes): number {
  return chunk.segments.reduce((sum, segment) => sum + pieceSizeFor(segment.bytes.length), 0);
}

/** The memory that a small chunk shares with others; undefined for a chunk that has slabs of its own. */
function slabOf(chunk: ChunkBytes): ArrayBufferLike | undefined {
  return chunk.lengthBytes <= largestPieceBytes ? chunk.segments[0]?.bytes.buffer : undefined;
}

function freesMemory(chunk: ChunkBytes): boolean {
  return chunk.segments.some((segment) => segment.references === 1);
}
