/**
 * How a replica fetches chunks it does not hold. The filler asks the origin. In a cluster the relay stands before it and
 * asks the coordinator of a chunk, and where disks are replicated, copies move between them.
 */

import type { Clock } from "../base/clock.ts";
import type { Logger } from "../base/logger.ts";
import { ReaderMemory } from "../base/reader-memory.ts";
import type { Config } from "../config/config.ts";
import { BlockReads } from "../fill/block-reads.ts";
import { Filler } from "../fill/filler.ts";
import type { ReadPath } from "../fill/read-path.ts";
import { ReadWindows } from "../fill/read-windows.ts";
import { Relay } from "../fill/relay.ts";
import { ChunkWarmer } from "../fill/warming/chunk-warmer.ts";
import type { FirstBytesPlaces } from "../object/heads/origin-heads.ts";
import type { GuardedOrigin } from "../origin/guarded-origin.ts";
import type { Trace } from "../trace/trace.ts";
import { announcing } from "./cachestore.ts";
import { firstBytesPlaces } from "./first-bytes-places.ts";
import type { MeshClient } from "./mesh-client.ts";
import { ReplicatedDisks } from "./replicated-disks.ts";
import type { Tiers } from "./tiers.ts";

export interface ReplicaReadPathOptions {
  readonly config: Config;
  readonly tiers: Tiers;
  readonly origins: readonly GuardedOrigin[];
  /** Undefined in a cluster of one. */
  readonly meshClient: MeshClient | undefined;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly trace: Trace;
}

export class ReplicaReadPath {
  readonly #tiers: Tiers;
  readonly filler: Filler;
  /** Undefined in a cluster of one. */
  readonly relay: Relay | undefined;
  /** Undefined where only the coordinator of a chunk keeps it on disk. */
  readonly replicated: ReplicatedDisks | undefined;
  /** Fills chunks of this replica for warm-ups. */
  readonly warmer: ChunkWarmer;
  /** What readers of objects need of all this. */
  readonly forReaders: ReadPath & { readonly flights: Filler | Relay };

  constructor({ config, tiers, origins, meshClient, clock, logger, trace }: ReplicaReadPathOptions) {
    this.#tiers = tiers;
    const { memory, disk, cachestore, budget } = tiers;
    const { replication: copies } = config.cluster;
    const { queueTimeoutMs } = config.memory;
    const shared = { memory, disk, cachestore: cachestore?.store, budget, queueTimeoutMs, trace };
    this.replicated =
      meshClient && disk && copies > 1
        ? new ReplicatedDisks({ copies, meshClient, disk, budget, clock, logger, stalls: trace.stalls })
        : undefined;
    const filler = new Filler({
      ...shared,
      copySource: this.replicated?.peerCopies,
      digests: disk,
      fillsWhole: config.chunking.fill === "whole",
      onStoredOnDisk: this.replicated?.onStored,
      onStoredInCachestore: meshClient && cachestore && announcing(meshClient, cachestore),
      origins: new Map(origins.map((origin) => [origin.id, origin])),
    });
    this.filler = filler;
    this.relay =
      meshClient &&
      new Relay({
        ...shared,
        filler,
        peers: meshClient.chunkPeers,
        coordination: meshClient.coordination,
        clock,
      });
    const coordination = meshClient?.coordination;
    this.warmer = new ChunkWarmer({
      ...shared,
      filler,
      clock,
      puller: this.replicated?.puller,
      coordinates: (key) => coordination?.isMine(coordination.chunkName(key)) ?? true,
    });
    this.forReaders = {
      ...shared,
      readerMemory: new ReaderMemory(budget, clock),
      blockReads: new BlockReads({ budget, clock, queueTimeoutMs, trace }),
      flights: this.relay ?? filler,
      readAheadMax: config.chunking.readahead,
      windows: new ReadWindows(),
      sentBytes: { memory: 0, disk: 0, cachestore: 0, peer: 0, origin: 0, join: 0 },
    };
  }

  /**
   * The filler as a place for the first bytes of objects. Undefined where a cachestore or copies at peers may have them:
   * only a version can be looked for there, so a HEAD comes first.
   */
  get places(): FirstBytesPlaces | undefined {
    const { disk, cachestore } = this.#tiers;
    if (cachestore || this.replicated) return undefined;
    const wereEmpty = disk?.ready.then(() => disk.chunkCount === 0 && disk.blockCount === 0) ?? true;
    return firstBytesPlaces(this.filler, wereEmpty);
  }

  /** To be called when the members are known. */
  start(): void {
    this.replicated?.start();
  }

  /** Stops copying between disks. May be called any number of times, as {@link stopFlights}. */
  async stopCopies(): Promise<void> {
    await this.replicated?.stop();
  }

  /** Ends flights that wait for an origin or a peer. Resolves when those that are whole have been committed. */
  async stopFlights(): Promise<void> {
    await Promise.all([this.relay?.stop(), this.filler.stop()]);
  }
}
