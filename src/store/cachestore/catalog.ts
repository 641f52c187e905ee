/**
 * What this replica believes the cachestore to hold, so that it reads a chunk that another replica has just stored without
 * asking the store first. It learns from this replica's own commits and reads, and from the announcements of others. An
 * entry is only a hint, because other replicas evict and delete without an announcement. So the catalog never answers
 * "absent", and a part that finds a hint wrong forgets it. The least recently learned or used hint is evicted first.
 */
import { assert } from "../../base/assert.ts";
import { LruMap } from "../../base/lru-map.ts";
import type { ChunkKey } from "../chunk-store.ts";

export class Catalog {
  readonly stats = { learned: 0, forgotten: 0, evicted: 0 };
  /** By chunk path. */
  readonly #held: LruMap<string, true>;

  /** An entry takes about 200 B: 100,000 of them stand for 800 GB in chunks of 8 MiB. */
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

  believes(ref: ChunkKey): "held" | "unknown" {
    return this.#held.get(ref.version.chunkPath(ref.index)) ? "held" : "unknown";
  }

  /** As {@link believes}, and it counts as no use. */
  peek(ref: ChunkKey): "held" | "unknown" {
    return this.#held.has(ref.version.chunkPath(ref.index)) ? "held" : "unknown";
  }

  learn(ref: ChunkKey): void {
    const key = ref.version.chunkPath(ref.index);
    if (!this.#held.has(key)) this.stats.learned += 1;
    this.#held.set(key, true);
  }

  /** True where there was a hint. */
  forget(ref: ChunkKey): boolean {
    const wasHeld = this.#held.delete(ref.version.chunkPath(ref.index));
    if (wasHeld) this.stats.forgotten += 1;
    return wasHeld;
  }
}
