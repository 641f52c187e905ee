/**
 * Replicated disks: each chunk on the disks of as many replicas as `cluster.replication` says. Whoever fills a chunk tells
 * all members once it is on its disk, by gossip; those who are to keep it too pull a copy. Nothing waits for that, and
 * nothing depends on the news: what is lost of it, and what a change of members moves, the walk finds (catch-up.ts).
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
  /** Tells all members. */
  readonly publish: (announcement: Announcement) => void;
}

export class Replication {
  readonly stats = {
    announced: 0,
    heard: 0,
    /** Of those heard, the ones that this replica is to keep and does not hold. */
    wanted: 0,
  };
  readonly #options: ReplicationOptions;

  constructor(options: ReplicationOptions) {
    this.#options = options;
  }

  /** A fill has put the chunk on this replica's disk. */
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
    const ref = { version: new ObjectVersion({ ...fields, sizeBytes }), index };
    if (!keepers.isKeptHere(ref.version.chunkPath(index)) || store.presence(ref) === "held") return;
    this.stats.wanted += 1;
    puller.enqueue(ref);
  }
}
