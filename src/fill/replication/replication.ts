/**
 * Replicated disks: each chunk is on the disks of as many replicas as `cluster.replication` says. A replica that has
 * filled a chunk and stored it on its disk announces it to the other keepers (announcer.ts), and they pull a copy. No
 * client waits for that, and an announcement may be lost: anti-entropy finds what was not announced, and what a change
 * of members has moved.
 */
import type { ChunkKey, ChunkStore } from "../../store/chunk-store.ts";
import type { Keepers } from "./keepers.ts";
import type { Puller } from "./puller.ts";

export interface ReplicationOptions {
  readonly keepers: Keepers;
  readonly store: ChunkStore;
  readonly puller: Pick<Puller, "enqueue">;
  /** Announces a chunk to its other keepers. */
  readonly announce: (key: ChunkKey) => void;
}

export class Replication {
  readonly stats = {
    announced: 0,
    heard: 0,
    /** Of those heard, the chunks that this replica should hold but does not. */
    wanted: 0,
  };
  readonly #options: ReplicationOptions;

  constructor(options: ReplicationOptions) {
    this.#options = options;
  }

  /** A fill has stored the chunk on this replica's disk. */
  stored(key: ChunkKey): void {
    this.stats.announced += 1;
    this.#options.announce(key);
  }

  /** Another replica holds the chunk. */
  heard(key: ChunkKey): void {
    const { keepers, store, puller } = this.#options;
    this.stats.heard += 1;
    if (!keepers.isKeptHere(key.version.chunkPath(key.index)) || store.presence(key) === "held") return;
    this.stats.wanted += 1;
    puller.enqueue(key);
  }
}
