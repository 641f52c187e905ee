/**
 * Whole chunks in memory, for as long as nobody needs their room more. The tier has no capacity of its own: it holds
 * what the memory budget leaves, and lets go chunk by chunk when the budget asks. Everything here is synchronous,
 * because a hit is answered without an await.
 *
 * Invariants:
 * 1. The policy holds exactly the entries of the map, and the tier one hold on each of their chunks.
 * 2. stats.bytes and stats.chunks are the sum of the lengths and the number of those chunks.
 */
import type { MemoryBudget } from "../base/memory-budget.ts";
import type { ChunkBytes } from "../chunk/chunk-bytes.ts";
import { Evictable, type EvictionPolicy } from "./eviction-policy.ts";
import { S3Fifo } from "./s3-fifo.ts";

/** Victims in a row that free nothing at once, after which a reservation had better wait than empty the tier. */
const pinnedVictimsMax = 16;

/** Misses of the last so many chunks are remembered: as many as are held, and these where fewer are. */
const missesRememberedMin = 128;

class MemoryEntry extends Evictable {
  readonly chunk: ChunkBytes;

  constructor(path: string, chunk: ChunkBytes) {
    super(path, chunk.lengthBytes);
    this.chunk = chunk;
  }
}

export interface MemoryTierOptions {
  readonly budget: MemoryBudget;
}

export class MemoryTier {
  readonly stats = { hits: 0, misses: 0, evictions: 0, bytes: 0, chunks: 0 };
  readonly #policy: EvictionPolicy<MemoryEntry> = new S3Fifo();
  readonly #entries = new Map<string, MemoryEntry>();
  /** How often a chunk that is not held was asked for, the longest remembered first. */
  readonly #misses = new Map<string, number>();

  constructor(options: MemoryTierOptions) {
    options.budget.addReclaimer(() => this.#letGo());
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
   * fetched before anybody asked for it.
   */
  put(path: string, chunk: ChunkBytes, ahead = false): void {
    if (this.#entries.has(path)) return;
    const entry = new MemoryEntry(path, chunk.share());
    this.#entries.set(path, entry);
    this.#policy.insert(entry, ahead);
    this.#misses.delete(path);
    this.stats.bytes += entry.sizeBytes;
    this.stats.chunks += 1;
  }

  delete(path: string): void {
    const entry = this.#entries.get(path);
    if (entry === undefined) return;
    this.#policy.remove(entry);
    this.#drop(entry);
  }

  clear(): void {
    for (const path of this.#entries.keys()) this.delete(path);
  }

  /**
   * Whether a chunk that is not held was asked for before the {@link get} that has just missed it: it was evicted
   * lately, or missed twice. Such a chunk is worth bringing from disk as a whole.
   */
  wasSeen(path: string): boolean {
    return (this.#misses.get(path) ?? 0) > 1 || this.#policy.remembers(path);
  }

  #noteMiss(path: string): void {
    const misses = this.#misses.get(path) ?? 0;
    this.#misses.delete(path);
    this.#misses.set(path, misses + 1);
    if (this.#misses.size <= Math.max(missesRememberedMin, this.#entries.size)) return;
    const oldest = this.#misses.keys().next();
    if (!oldest.done) this.#misses.delete(oldest.value);
  }

  /**
   * Makes some room: evicts one chunk that frees memory at once, and puts back those that others hold in whole, for
   * they are in use. Where only such chunks come up, they are let go of, though it frees nothing yet: whoever waits for
   * memory is woken when their users finish, and would not be if the tier went on holding them.
   */
  #letGo(): boolean {
    const pinned: MemoryEntry[] = [];
    while (pinned.length < pinnedVictimsMax) {
      const victim = this.#policy.evict();
      if (victim === undefined) break;
      if (freesMemory(victim.chunk)) {
        for (const entry of pinned) this.#policy.insert(entry);
        this.#evict(victim);
        return true;
      }
      pinned.push(victim);
    }
    for (const entry of pinned) this.#evict(entry);
    return false;
  }

  #evict(entry: MemoryEntry): void {
    this.stats.evictions += 1;
    this.#drop(entry);
  }

  #drop(entry: MemoryEntry): void {
    this.#entries.delete(entry.key);
    this.stats.bytes -= entry.sizeBytes;
    this.stats.chunks -= 1;
    entry.chunk.release();
  }
}

function freesMemory(chunk: ChunkBytes): boolean {
  return chunk.segments.some((segment) => segment.references === 1);
}
