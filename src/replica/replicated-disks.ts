/**
 * Keeps each chunk on the disks of several replicas. It exists where `cluster.replication` is more than 1. Of the rest of
 * the replica it needs the disk, memory and the mesh client.
 */
import type { Clock } from "../base/clock.ts";
import type { Logger } from "../base/logger.ts";
import type { MemoryBudget } from "../base/memory-budget.ts";
import type { ChunkPeers } from "../fill/chunk-peers.ts";
import { type AnnouncementPeers, Announcer } from "../fill/replication/announcer.ts";
import { AntiEntropy, type AntiEntropySettings } from "../fill/replication/anti-entropy.ts";
import { ChunkSurvey } from "../fill/replication/chunk-survey.ts";
import { Inventory } from "../fill/replication/inventory.ts";
import type { InventoryPeers } from "../fill/replication/inventory-peers.ts";
import { Keepers } from "../fill/replication/keepers.ts";
import { PeerCopies } from "../fill/replication/peer-copies.ts";
import { Puller } from "../fill/replication/puller.ts";
import { RepairLog } from "../fill/replication/repair-log.ts";
import { Replication } from "../fill/replication/replication.ts";
import type { Coordination } from "../membership/coordination.ts";
import type { Membership } from "../membership/membership.ts";
import { chunkOfRumor, rumorOfChunk } from "../mesh/codec/rumor-codec.ts";
import type { InventoryAnswers } from "../mesh/services/inventory-service.ts";
import type { ChunkKey } from "../store/chunk-store.ts";
import type { StagingStore } from "../store/disk/staged-chunk.ts";
import type { ListedStore } from "../store/listed-store.ts";
import type { StallWatch } from "../trace/stalls/stall-watch.ts";

/** A disk that can hold copies, and tells when it is known what it holds, and when it has lost a chunk. */
export interface ReplicatedDisk extends StagingStore, ListedStore {
  readonly ready: Promise<void>;
  onLost: () => void;
}

/** What copies need of the mesh. */
export interface CopyingPeers {
  readonly membership: Membership;
  readonly coordination: Coordination;
  readonly chunkPeers: ChunkPeers;
  readonly inventoryPeers: InventoryPeers & AnnouncementPeers;
}

export interface ReplicatedDisksOptions {
  readonly copies: number;
  readonly meshClient: CopyingPeers;
  readonly disk: ReplicatedDisk;
  readonly budget: MemoryBudget;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly stalls?: StallWatch | undefined;
  readonly antiEntropy?: Partial<AntiEntropySettings> | undefined;
}

export class ReplicatedDisks {
  readonly keepers: Keepers;
  /** Asks peers for a chunk before a fill asks the origin. */
  readonly peerCopies: PeerCopies;
  readonly inventory: Inventory;
  /** Answers peers that ask what is on this disk, and hears what is on theirs. */
  readonly answers: InventoryAnswers;
  readonly replication: Replication;
  readonly announcer: Announcer;
  readonly puller: Puller;
  readonly antiEntropy: AntiEntropy;
  readonly #disk: ReplicatedDisk;
  readonly #survey: ChunkSurvey;

  constructor(options: ReplicatedDisksOptions) {
    const { copies, meshClient, disk, budget, clock, logger, stalls } = options;
    const { coordination, membership, chunkPeers: peers, inventoryPeers } = meshClient;
    const keepers = new Keepers({ coordination, copies });
    this.keepers = keepers;
    this.#disk = disk;
    this.peerCopies = new PeerCopies({ keepers, coordination, peers, clock });
    this.#survey = new ChunkSurvey({ store: disk, keepers, coordination, clock });
    this.inventory = new Inventory({ store: disk, keepers, survey: this.#survey });
    this.puller = new Puller({ store: disk, keepers, peers, budget, clock, logger, stalls });
    this.announcer = new Announcer({
      keepers,
      coordination,
      peers: inventoryPeers,
      gossip: (key) => membership.publish(rumorOfChunk(key)),
      clock,
    });
    this.replication = new Replication({
      keepers,
      store: disk,
      puller: this.puller,
      announce: (key) => this.announcer.announce(key),
    });
    const repairs = new RepairLog(clock, logger, this.puller);
    this.puller.onPullEnded = () => repairs.pullerChanged();
    this.answers = {
      compare: (request) => this.inventory.compare(request),
      nameChunks: (paths) => this.inventory.nameChunks(paths),
      list: (request) => this.inventory.list(request),
      announced: (chunks) => {
        for (const key of chunks) this.replication.heard(key);
      },
    };
    this.antiEntropy = new AntiEntropy({
      repairs,
      inventoryPeers,
      survey: this.#survey,
      keepers,
      coordination,
      store: disk,
      puller: this.puller,
      clock,
      logger,
      ...(options.antiEntropy && { settings: options.antiEntropy }),
    });
    membership.listen("announcement", (announcement) => this.replication.heard(chunkOfRumor(announcement)));
    membership.subscribeLive(() => this.antiEntropy.membersChanged());
    disk.onLost = () => this.antiEntropy.chunkLost();
  }

  /** For the filler, which calls it with each chunk that it stored on this disk. */
  readonly onStored = (key: ChunkKey): void => this.replication.stored(key);

  /** To be called when the members are known. The first round begins when the disk is scanned. */
  start(): void {
    void this.#disk.ready.then(() => this.antiEntropy.start());
  }

  /** Resolves when no copy is in progress. May be called any number of times. */
  async stop(): Promise<void> {
    this.#survey.stop();
    this.announcer.stop();
    await Promise.all([this.antiEntropy.stop(), this.puller.stop()]);
  }
}
