/**
 * The part of the composition that keeps each chunk on several replicas' disks. It is made where `cluster.replication` is
 * more than 1, and what it needs of the rest of a replica is the disk, memory, and the cluster.
 */
import type { Clock } from "./base/clock.ts";
import type { Logger } from "./base/logger.ts";
import type { MemoryBudget } from "./base/memory-budget.ts";
import type { Cluster } from "./cluster.ts";
import { CatchUp } from "./fill/catch-up.ts";
import { ChunkLister } from "./fill/chunk-lister.ts";
import { HeldByPeers } from "./fill/held-by-peers.ts";
import { Keepers } from "./fill/keepers.ts";
import { Puller } from "./fill/puller.ts";
import { Replication } from "./fill/replication.ts";
import { announcementRumor } from "./mesh/rumor-wire.ts";
import type { ChunkRef } from "./store/chunk-store.ts";
import type { DiskTier } from "./store/disk-tier.ts";

export interface ReplicatedDisksOptions {
  readonly copies: number;
  readonly cluster: Cluster;
  readonly disk: DiskTier;
  readonly budget: MemoryBudget;
  readonly clock: Clock;
  readonly logger: Logger;
}

export class ReplicatedDisks {
  /** What a fill asks before its origin. */
  readonly held: HeldByPeers;
  /** What others ask about this disk. */
  readonly lister: ChunkLister;
  readonly replication: Replication;
  readonly puller: Puller;
  readonly catchUp: CatchUp;
  readonly #disk: DiskTier;

  constructor({ copies, cluster, disk, budget, clock, logger }: ReplicatedDisksOptions) {
    const { coordination, membership, chunkPeers: peers, chunkLists: lists } = cluster;
    const keepers = new Keepers({ coordination, copies });
    this.#disk = disk;
    this.held = new HeldByPeers({ keepers, coordination, peers, clock });
    this.lister = new ChunkLister({ store: disk, keepers, clock });
    this.puller = new Puller({ store: disk, keepers, peers, budget, clock, logger });
    this.replication = new Replication({
      keepers,
      store: disk,
      puller: this.puller,
      publish: (announcement) => membership.publish(announcementRumor(announcement)),
    });
    this.catchUp = new CatchUp({
      lists,
      keepers,
      coordination,
      store: disk,
      isPledged: (path) => this.lister.isPledged(path),
      puller: this.puller,
      clock,
      logger,
    });
    membership.listen("announcement", (announcement) => this.replication.heard(announcement));
    membership.subscribe(() => this.catchUp.membersChanged());
    disk.onLost = () => this.catchUp.chunkLost();
  }

  /** For the filler: a chunk has come to be on this disk. */
  readonly onStored = (ref: ChunkRef): void => this.replication.stored(ref);

  /** Once the members are known: the first walk begins when this replica knows what is on its own disk. */
  start(): void {
    void this.#disk.ready.then(() => this.catchUp.start());
  }

  /** Resolves when nothing is being copied any more. */
  async stop(): Promise<void> {
    await Promise.all([this.catchUp.stop(), this.puller.stop()]);
  }
}
