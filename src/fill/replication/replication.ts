/**
 * Replicated disks: each chunk is on the disks of as many replicas as `cluster.replication` says. A replica that has
 * filled a chunk and stored it on its disk announces it to all members by gossip, and the other keepers pull a copy. No
 * client waits for that, and an announcement may be lost: anti-entropy finds what was not announced, and what a change
 * of members has moved.
 */
import { ObjectVersion } from "../../chunk/object-version.ts";
import type { RumorBodies } from "../../membership/rumor.ts";
import type { ChunkKey, ChunkStore } from "../../store/chunk-store.ts";
import type { Keepers } from "./keepers.ts";
import type { Puller } from "./puller.ts";

type Announcement = RumorBodies["announcement"];

export interface ReplicationOptions {
  readonly keepers: Keepers;
  readonly store: ChunkStore;
  readonly puller: Pick<Puller, "enqueue">;
  /** Sends an announcement to all members. */
  readonly publish: (announcement: Announcement) => void;
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
  stored({ version, index }: ChunkKey): void {
    this.stats.announced += 1;
    const { originId, bucket, objectKey, etag, chunkSizeBytes, sizeBytes } = version;
    const chunk = { originId, bucket, objectKey, etag, chunkSizeBytes };
    this.#options.publish({ ...chunk, chunkIndex: index, objectSizeBytes: sizeBytes });
  }

  /** Another replica holds the chunk. */
  heard({ chunkIndex: index, objectSizeBytes: sizeBytes, ...fields }: Announcement): void {
    const { keepers, store, puller } = this.#options;
    this.stats.heard += 1;
    const key = { version: new ObjectVersion({ ...fields, sizeBytes }), index };
    if (!keepers.isKeptHere(key.version.chunkPath(index)) || store.presence(key) === "held") return;
    this.stats.wanted += 1;
    puller.enqueue(key);
  }
}
