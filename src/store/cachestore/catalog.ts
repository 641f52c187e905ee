/**
 * What this replica believes the cachestore holds, so that a chunk another replica has just stored is read without
 * anybody asking first. It is fed by this replica's own commits and reads and by the announcements of others, and is
 * never more than a hint: others evict and delete without telling. So it never says "absent", and whoever finds a hint
 * wrong forgets it. The bound is in entries; the one that was longest neither learned nor asked for goes first.
 */
import { assert } from "../../base/assert.ts";
import type { ChunkKey } from "../chunk-store.ts";

export class Catalog {
  readonly stats = { learned: 0, forgotten: 0, evicted: 0 };
  readonly #entriesMax: number;
  /** Chunk paths in order of last use: a Set keeps the order in which values were added. */
  readonly #held = new Set<string>();

  /** An entry takes about 200 B: 100,000 of them stand for 800 GB in chunks of 8 MiB. */
  constructor(entriesMax = 100_000) {
    assert(entriesMax > 0, "a catalog has room for an entry");
    this.#entriesMax = entriesMax;
  }

  get size(): number {
    return this.#held.size;
  }

  believes(ref: ChunkKey): "held" | "unknown" {
    const key = ref.version.chunkPath(ref.index);
    if (!this.#held.delete(key)) return "unknown";
    this.#held.add(key);
    return "held";
  }

  /** As {@link believes}, and it counts as no use. */
  peek(ref: ChunkKey): "held" | "unknown" {
    return this.#held.has(ref.version.chunkPath(ref.index)) ? "held" : "unknown";
  }

  learn(ref: ChunkKey): void {
    const key = ref.version.chunkPath(ref.index);
    if (!this.#held.delete(key)) this.stats.learned += 1;
    this.#held.add(key);
    if (this.#held.size <= this.#entriesMax) return;
    for (const oldest of this.#held) {
      this.#held.delete(oldest);
      this.stats.evicted += 1;
      return;
    }
  }

  /** True where there was a hint. */
  forget(ref: ChunkKey): boolean {
    const wasHeld = this.#held.delete(ref.version.chunkPath(ref.index));
    if (wasHeld) this.stats.forgotten += 1;
    return wasHeld;
  }
}
