/**
 * The chunks that this replica believes to be in the cachestore, so that it reads a chunk that another replica has just
 * stored without asking the store first. It learns from this replica's own commits and reads, and from the announcements
 * of others. An entry is only a hint, because other replicas evict and delete without an announcement. So the catalog
 * never answers "absent", and a read that finds a hint wrong removes it. The least recently learned or used hint is
 * evicted first.
 */
import { assert } from "../../base/assert.ts";
import { LruMap } from "../../base/lru-map.ts";
import type { ChunkKey } from "../chunk-store.ts";

export class Catalog {
  readonly stats = { learned: 0, forgotten: 0, evicted: 0 };
  /** By chunk path. */
  readonly #held: LruMap<string, true>;

  /** An entry takes about 200 B. 100,000 entries stand for 800 GB in chunks of 8 MiB. */
  constructor(entriesMax = 100_000) {
    assert(entriesMax > 0, "a catalog has room for an entry");
    this.#held = new LruMap({
      entriesMax,
      onEvict: () => {
        this.stats.evicted += 1;
      },
    });
  }

  get size(): number {
    return this.#held.size;
  }

  believes(key: ChunkKey): "held" | "unknown" {
    return this.#held.get(key.version.chunkPath(key.index)) ? "held" : "unknown";
  }

  /** Like {@link believes}, but does not count as a use. */
  peek(key: ChunkKey): "held" | "unknown" {
    return this.#held.has(key.version.chunkPath(key.index)) ? "held" : "unknown";
  }

  learn(key: ChunkKey): void {
    const path = key.version.chunkPath(key.index);
    if (!this.#held.has(path)) this.stats.learned += 1;
    this.#held.set(path, true);
  }

  /** True if there was a hint. */
  forget(key: ChunkKey): boolean {
    const wasHeld = this.#held.delete(key.version.chunkPath(key.index));
    if (wasHeld) this.stats.forgotten += 1;
    return wasHeld;
  }
}
