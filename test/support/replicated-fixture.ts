/**
 * Replicas that keep each chunk on several disks, over one scripted origin and a network in memory. Members come, go and
 * lose their disks as a test says, gossip arrives at once, and everybody believes the same of everybody.
 */

import assert from "node:assert/strict";
import { MemoryBudget } from "../../src/base/memory-budget.ts";
import { OrcaError } from "../../src/base/orca-error.ts";
import { ReaderMemory } from "../../src/base/reader-memory.ts";
import { KiB, MiB } from "../../src/base/units.ts";
import { ObjectVersion } from "../../src/chunk/object-version.ts";
import { BlockReads } from "../../src/fill/block-reads.ts";
import { ChunkServer } from "../../src/fill/chunk-server.ts";
import { Filler } from "../../src/fill/filler.ts";
import { ObjectReader } from "../../src/fill/object-reader.ts";
import type { ReadPath } from "../../src/fill/read-path.ts";
import { Relay } from "../../src/fill/relay.ts";
import { Announcer } from "../../src/fill/replication/announcer.ts";
import { AntiEntropy, type AntiEntropySettings } from "../../src/fill/replication/anti-entropy.ts";
import { ChunkSurvey } from "../../src/fill/replication/chunk-survey.ts";
import { Inventory } from "../../src/fill/replication/inventory.ts";
import type { CompareRequest, InventoryPeers } from "../../src/fill/replication/inventory-peers.ts";
import { Keepers } from "../../src/fill/replication/keepers.ts";
import { PeerCopies } from "../../src/fill/replication/peer-copies.ts";
import { Puller, type PullerSettings } from "../../src/fill/replication/puller.ts";
import { RepairLog } from "../../src/fill/replication/repair-log.ts";
import { Replication } from "../../src/fill/replication/replication.ts";
import { Coordination } from "../../src/membership/coordination.ts";
import type { Member } from "../../src/membership/member.ts";
import { placedByPath } from "../../src/placement/placement-name.ts";
import type { ChunkKey } from "../../src/store/chunk-store.ts";
import { MemoryTier } from "../../src/store/memory-tier.ts";
import { ChunkPeersNetwork } from "./chunk-peers-network.ts";
import { FakeClock, settle } from "./fake-clock.ts";
import { FakeStagingStore } from "./fake-staging-store.ts";
import { memberOf } from "./member-of.ts";
import { PatternChecker } from "./pattern.ts";
import { RecordedLogger } from "./recorded-logger.ts";
import { ScriptedOrigin } from "./scripted-origin.ts";

export interface ReplicatedFixtureOptions {
  readonly replicas?: number;
  readonly copies?: number;
  readonly maxBytes?: number;
  readonly chunkSizeBytes?: number;
  readonly puller?: Partial<PullerSettings>;
  readonly antiEntropy?: Partial<AntiEntropySettings>;
}

export type ReplicatedReplica = ReturnType<ReplicatedFixture["join"]>;

export class ReplicatedFixture {
  readonly clock = new FakeClock();
  readonly logger = new RecordedLogger();
  readonly origin = new ScriptedOrigin();
  readonly network = new ChunkPeersNetwork({ clock: this.clock, stallTimeoutMs: 5000 });
  readonly replicas = new Map<string, ReplicatedReplica>();
  /** What announcers send. The replicas' own announcements arrive at once, without one. */
  readonly announcements = {
    sent: [] as { readonly to: string; readonly paths: readonly string[] }[],
    gossiped: [] as string[],
    /** Called for each call; what it returns or throws is the answer. */
    onCall: async (_to: string): Promise<boolean> => true,
    peers: {
      announce: (peer: Member, chunks: readonly ChunkKey[]): Promise<boolean> => {
        const paths = chunks.map(({ version, index }) => version.chunkPath(index));
        this.announcements.sent.push({ to: peer.replicaId, paths });
        return this.announcements.onCall(peer.replicaId);
      },
    },
    gossip: ({ version, index }: ChunkKey): void => {
      this.announcements.gossiped.push(version.chunkPath(index));
    },
  };
  /** Announcements are lost while it is true. */
  deaf = false;
  /** Pages of disks that were asked for. */
  readonly pages: { readonly from: string; readonly to: string; readonly request: CompareRequest }[] = [];
  /** Called before each page is answered; what it throws is the answer. */
  onPage: (from: string, to: string, request: CompareRequest) => void = () => {};
  readonly #options: ReplicatedFixtureOptions;
  #live: readonly Member[] = [];

  constructor(options: ReplicatedFixtureOptions = {}) {
    this.#options = options;
    this.origin.auto = true;
    for (let index = 0; index < (options.replicas ?? 3); index += 1) this.join(`r${index}`);
  }

  /** A new member, with a disk that may be an earlier one's. */
  join(id: string, disk = new FakeStagingStore()) {
    const { clock, origin, network, logger } = this;
    const self = memberOf(id);
    const budget = new MemoryBudget({ maxBytes: this.#options.maxBytes ?? 128 * MiB, clock, poison: true });
    const memory = new MemoryTier({ budget });
    const shared = { memory, disk, budget, queueTimeoutMs: 5000 };
    const live = (): readonly Member[] => this.#live;
    const view = {
      self,
      get live() {
        return live();
      },
      members: () => [...live()],
      learn: () => {},
      probeNext: () => {},
    };
    const coordination = new Coordination({ membership: view, clock, chunkPlacement: placedByPath });
    const keepers = new Keepers({ coordination, copies: this.#options.copies ?? 2 });
    const peers = network.peersOf(id);
    const peerCopies = new PeerCopies({ keepers, coordination, peers, clock });
    const puller = new Puller({
      store: disk,
      keepers,
      peers,
      budget,
      clock,
      logger,
      settings: this.#options.puller ?? {},
    });
    const replication = new Replication({
      keepers,
      store: disk,
      puller,
      announce: (key) => {
        if (this.deaf) return;
        for (const { replicaId } of keepers.of(key.version.chunkPath(key.index))) {
          if (replicaId !== id) this.get(replicaId).replication.heard(key);
        }
      },
    });
    const announcer = new Announcer({ keepers, coordination, clock, ...this.announcements });
    const survey = new ChunkSurvey({ store: disk, keepers, coordination, clock });
    const inventory = new Inventory({ store: disk, keepers, survey });
    const repairs = new RepairLog(clock, logger, puller);
    puller.onPullEnded = () => repairs.pullerChanged();
    const antiEntropy = new AntiEntropy({
      repairs,
      inventoryPeers: this.#inventoryPeersOf(id),
      survey,
      keepers,
      coordination,
      store: disk,
      puller,
      clock,
      logger,
      settings: this.#options.antiEntropy ?? {},
    });
    const filler = new Filler({
      ...shared,
      origins: new Map([[origin.id, origin]]),
      copySource: peerCopies,
      digests: shared.disk,
      onStoredOnDisk: (key) => replication.stored(key),
    });
    const relay = new Relay({ ...shared, filler, peers, coordination, clock });
    const path: ReadPath = {
      ...shared,
      flights: relay,
      readerMemory: new ReaderMemory(budget, clock),
      blockReads: new BlockReads({ budget, clock, queueTimeoutMs: 5000 }),
      readAheadMax: 0,
      sentBytes: { memory: 0, disk: 0, cachestore: 0, peer: 0, origin: 0, join: 0 },
    };
    const server = new ChunkServer({ path, filler, disk, coordination });
    network.hosts.set(id, server);
    const tiers = { budget, memory, disk };
    const copying = {
      coordination,
      keepers,
      peerCopies,
      puller,
      replication,
      announcer,
      inventory,
      survey,
      antiEntropy,
    };
    const replica = { id, self, ...tiers, ...copying, filler, relay, path, server };
    this.replicas.set(id, replica);
    this.#live = [...this.#live, self];
    this.#tellOfMembers();
    return replica;
  }

  /** Gone without a word; the others know. Its disk stays in its owner's hands. */
  kill(id: string): void {
    const { antiEntropy, puller, survey } = this.get(id);
    survey.stop();
    void antiEntropy.stop();
    void puller.stop();
    this.network.hosts.delete(id);
    this.replicas.delete(id);
    this.#live = this.#live.filter(({ replicaId }) => replicaId !== id);
    this.#tellOfMembers();
  }

  #tellOfMembers(): void {
    for (const { antiEntropy } of this.replicas.values()) antiEntropy.membersChanged();
  }

  #inventoryPeersOf(from: string): InventoryPeers {
    return {
      compare: async ({ replicaId: to }, request) => {
        this.pages.push({ from, to, request });
        this.onPage(from, to, request);
        return this.#inventoryOf(to).compare(request);
      },
      nameChunks: async ({ replicaId }, paths) => this.#inventoryOf(replicaId).nameChunks(paths),
    };
  }

  #inventoryOf(id: string): Inventory {
    const asked = this.replicas.get(id);
    if (asked) return asked.inventory;
    throw new OrcaError("peer_unavailable", "mesh", `Cannot ask "${id}": it is gone`);
  }

  get(id: string): ReplicatedReplica {
    return this.replicas.get(id) as ReplicatedReplica;
  }

  version(key: string, sizeBytes = 64 * KiB): ObjectVersion {
    const chunkSizeBytes = this.#options.chunkSizeBytes ?? 8 * MiB;
    const { id: originId } = this.origin;
    return new ObjectVersion({
      originId,
      bucket: "b",
      objectKey: key,
      etag: "v1",
      sizeBytes,
      chunkSizeBytes,
    });
  }

  /** The replicas in the order of a chunk's rank. */
  ranked({ version, index }: ChunkKey): ReplicatedReplica[] {
    const [first] = this.replicas.values();
    const order = (first as ReplicatedReplica).coordination.ranked(version.chunkPath(index));
    return order.map(({ replicaId }) => this.get(replicaId));
  }

  /** Reads an object through a replica, as a client would, and checks every byte. */
  async read(replica: ReplicatedReplica, version: ObjectVersion): Promise<void> {
    const reader = new ObjectReader(replica.path, version, 0, version.sizeBytes);
    const checker = new PatternChecker(this.origin.seed, 0);
    while (!reader.done) {
      const slice = reader.take();
      if (slice === null) {
        await reader.ready();
        continue;
      }
      checker.update(slice);
      reader.release();
    }
    reader.close();
    await settle();
  }

  /** Ends the anti-entropy rounds and the pulls of all replicas, so that no timer runs. */
  async stop(): Promise<void> {
    for (const { antiEntropy, puller } of this.replicas.values()) {
      await antiEntropy.stop();
      await puller.stop();
    }
  }

  /** Resolves when no pull is waiting or running. No timer is fired. */
  async quiet(): Promise<void> {
    for (let turn = 0; turn < 10_000; turn += 1) {
      await settle();
      if ([...this.replicas.values()].every(({ puller }) => puller.waiting + puller.running === 0)) return;
    }
    throw new Error("Pulls did not end");
  }

  /** On how many disks a chunk lies. */
  copiesOf({ version, index }: ChunkKey): number {
    const path = version.chunkPath(index);
    return [...this.replicas.values()].filter(({ disk }) => disk.chunks.has(path)).length;
  }

  /**
   * Checks that all keepers of each chunk hold it, and that the chunks marked as the first to be evicted are exactly the
   * extra copies, as each replica's last round counted them. @returns how many extra copies there are.
   */
  assertCopies(keys: readonly ChunkKey[]): number {
    let extraCopies = 0;
    for (const { id, disk, keepers, antiEntropy } of this.replicas.values()) {
      const paths = keys.map(({ version, index }) => version.chunkPath(index));
      const missing = paths.filter((path) => keepers.isKeptHere(path) && !disk.chunks.has(path));
      assert.deepEqual(missing, [], `${id} holds all chunks that it keeps`);
      const extra = [...disk.chunks.keys()].filter((path) => !keepers.isKeptHere(path));
      assert.deepEqual([...disk.firstToGo].sort(), extra.sort(), `${id} marks its extra copies`);
      assert.equal(antiEntropy.stats.extraCopies, extra.length);
      extraCopies += extra.length;
    }
    return extraCopies;
  }
}
