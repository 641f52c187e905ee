/**
 * One process of the simulated cluster: the real parts of a replica, joined as replica.ts joins them, on a clock of its
 * own. A crash stops that clock for ever, so that whatever the process was about to do is never done; what others had
 * with it ends as the network and the origin see fit.
 */

import assert from "node:assert/strict";
import type { Clock } from "../../src/base/clock.ts";
import { MemoryBudget } from "../../src/base/memory-budget.ts";
import { ReaderMemory } from "../../src/base/reader-memory.ts";
import { KiB, MiB } from "../../src/base/units.ts";
import { BlockReads } from "../../src/fill/block-reads.ts";
import { ChunkServer } from "../../src/fill/chunk-server.ts";
import { Filler } from "../../src/fill/filler.ts";
import type { ReadPath } from "../../src/fill/read-path.ts";
import { ReadWindows } from "../../src/fill/read-windows.ts";
import { Relay } from "../../src/fill/relay.ts";
import { Coordination } from "../../src/membership/coordination.ts";
import { Membership } from "../../src/membership/membership.ts";
import { StaticSeeds } from "../../src/membership/seeds.ts";
import type { InventoryAnswers } from "../../src/mesh/services/inventory-service.ts";
import { ClusterHeads } from "../../src/object/cluster-heads.ts";
import { ClusterListings } from "../../src/object/cluster-listings.ts";
import { Directory } from "../../src/object/directory.ts";
import { OriginHeads } from "../../src/object/heads/origin-heads.ts";
import { ListingCache, type ListingSource, OriginListings } from "../../src/object/listing-cache.ts";
import { ObjectServer } from "../../src/object/object-server.ts";
import { OriginParts } from "../../src/object/parts/origin-parts.ts";
import { PartTables } from "../../src/object/parts/part-tables.ts";
import { GuardedOrigin } from "../../src/origin/guarded-origin.ts";
import type { ListRequest, ObjectLocation } from "../../src/origin/origin.ts";
import { originShare } from "../../src/placement/origin-share.ts";
import { placedByPath, placedWithObject } from "../../src/placement/placement-name.ts";
import { announcing } from "../../src/replica/cachestore.ts";
import { firstBytesPlaces } from "../../src/replica/first-bytes-places.ts";
import { ReplicatedDisks } from "../../src/replica/replicated-disks.ts";
import { Breaker } from "../../src/store/cachestore/breaker.ts";
import { Catalog } from "../../src/store/cachestore/catalog.ts";
import { GuardedCachestore } from "../../src/store/cachestore/guarded-cachestore.ts";
import type { ChunkKey } from "../../src/store/chunk-store.ts";
import { MemoryTier } from "../../src/store/memory-tier.ts";
import type { Chance } from "../support/chance.ts";
import { addressOf, agreedSettings } from "../support/membership-fixture.ts";
import type { MemoryNetwork } from "../support/memory-network.ts";
import { RecordedLogger } from "../support/recorded-logger.ts";
import { StallableClock } from "../support/stallable-clock.ts";
import {
  antiEntropy,
  avoidInitialMs,
  avoidMaxMs,
  breakerOpenMs,
  negativeTtlMs,
  queueTimeoutMs,
  type Scenario,
  ttlMs,
} from "./scenario.ts";
import type { SimulatedCachestore } from "./simulated-cachestore.ts";
import { type DiskMedium, SimulatedDisk } from "./simulated-disk.ts";
import type { SimulatedMesh } from "./simulated-mesh.ts";
import { originId, type SimulatedOrigin } from "./simulated-origin.ts";

/** An opening brings bytes as well. A HEAD `after-opening` asks about an object of which an opening told nothing. */
export type MetadataRequest = "head" | "opening" | "after-opening";

export interface SimulatedReplicaOptions {
  readonly replicaId: string;
  readonly seedIds: readonly string[];
  readonly scenario: Scenario;
  readonly clock: Clock;
  readonly chance: Chance;
  readonly network: MemoryNetwork;
  readonly mesh: SimulatedMesh;
  readonly origin: SimulatedOrigin;
  readonly medium: DiskMedium;
  readonly names: Map<string, ChunkKey>;
  readonly cachestore: SimulatedCachestore;
  readonly onFault: (thrown: unknown) => void;
  /** Called with each request for metadata as this replica decides to send it. */
  readonly onMetadata: (location: ObjectLocation, request: MetadataRequest) => void;
  /** Called with each LIST as this replica decides to send it. */
  readonly onList: (request: ListRequest) => void;
}

export class SimulatedReplica {
  readonly replicaId: string;
  readonly clock: StallableClock;
  readonly membership: Membership;
  readonly coordination: Coordination;
  readonly guarded: GuardedOrigin;
  readonly budget: MemoryBudget;
  readonly memory: MemoryTier;
  readonly disk: SimulatedDisk | undefined;
  readonly cachestore: GuardedCachestore | undefined;
  readonly replicated: ReplicatedDisks | undefined;
  readonly inventory: InventoryAnswers | undefined;
  readonly filler: Filler;
  readonly relay: Relay;
  readonly path: ReadPath;
  readonly directory: Directory;
  readonly listings: ListingCache;
  readonly authorityListings: ListingCache;
  /** All caches of metadata. */
  readonly metadata: readonly (Directory | ListingCache)[];
  readonly chunks: ChunkServer;
  readonly objects: ObjectServer;
  /** The greatest share that this replica had at the moment of its last change. */
  shareAtChange = { atMs: 0, greatest: Number.POSITIVE_INFINITY };
  #crashed = false;
  readonly #options: SimulatedReplicaOptions;

  constructor(options: SimulatedReplicaOptions) {
    const { replicaId, scenario, chance, network, mesh, origin, medium, onFault } = options;
    this.#options = options;
    this.replicaId = replicaId;
    const clock = new StallableClock(options.clock);
    this.clock = clock;
    this.membership = new Membership({
      replicaId,
      address: addressOf(replicaId),
      zone: "",
      agreedSettings,
      seeds: [new StaticSeeds(options.seedIds.map(addressOf))],
      transport: network.transport(addressOf(replicaId), clock),
      clock,
      random: chance.forkRandom(),
      logger: new RecordedLogger(),
    });
    this.coordination = new Coordination({
      membership: this.membership,
      clock,
      avoidInitialMs,
      avoidMaxMs,
      chunkPlacement: scenario.copies > 1 ? placedByPath : placedWithObject,
    });
    this.guarded = new GuardedOrigin({
      origin: origin.connect({ replicaId, clock }),
      clock,
      random: chance.forkRandom(),
      requestsInFlightMax: scenario.targetGlobal,
      queueTimeoutMs,
      retry: { attempts: 3, backoffInitialMs: 100, backoffMaxMs: 2000, maxTotalDurationMs: 5000 },
      minRate: { bytesPerSecond: 16 * KiB, windowMs: 30_000 },
    });
    this.membership.subscribeLive(() => this.#takeShare());
    this.budget = new MemoryBudget({ maxBytes: scenario.memoryBytes, clock, poison: true });
    this.memory = new MemoryTier({ budget: this.budget });
    this.disk = scenario.hasDisks
      ? new SimulatedDisk({ medium, names: options.names, clock, chance: chance.fork(), origin, onFault })
      : undefined;
    const catalog = new Catalog();
    const breaker = new Breaker({ clock, windowMs: 2000, openMs: breakerOpenMs });
    const driver = scenario.hasCachestore ? options.cachestore.connect(clock) : undefined;
    this.cachestore =
      driver && new GuardedCachestore({ driver, breaker, catalog, clock, logger: new RecordedLogger() });
    const { memory, disk, cachestore, budget } = this;
    this.replicated = this.#openReplication();
    this.inventory = this.replicated?.answers;
    const shared = { memory, disk, cachestore, budget, queueTimeoutMs };
    this.filler = new Filler({
      ...shared,
      fillsWhole: scenario.fillsWhole,
      copySource: this.replicated?.peerCopies,
      digests: this.replicated && disk,
      onStoredOnDisk: this.replicated?.onStored,
      onStoredInCachestore: cachestore && announcing(this, { catalog }),
      origins: new Map([[originId, this.guarded]]),
    });
    this.relay = new Relay({
      ...shared,
      filler: this.filler,
      peers: mesh.chunkPeersOf({ replicaId, clock }),
      coordination: this.coordination,
      clock,
    });
    this.path = {
      ...shared,
      flights: this.relay,
      readerMemory: new ReaderMemory(this.budget, clock),
      blockReads: new BlockReads({ budget: this.budget, clock, queueTimeoutMs }),
      readAheadMax: scenario.readAheadMax,
      windows: new ReadWindows(),
      sentBytes: { memory: 0, disk: 0, cachestore: 0, peer: 0, origin: 0, join: 0 },
    };
    this.chunks = new ChunkServer({
      path: this.path,
      filler: this.filler,
      disk: this.disk,
      coordination: this.coordination,
    });
    const { objects, ...metadata } = this.#openObjects();
    this.directory = metadata.directory;
    this.listings = metadata.listings;
    this.authorityListings = metadata.authorityListings;
    this.metadata = Object.values(metadata);
    this.objects = objects;
  }

  get isRunning(): boolean {
    return !this.#crashed;
  }

  get chunkSizeBytesMin(): number {
    return Math.min(...this.#options.scenario.chunkTiers.map(({ chunkSizeBytes }) => chunkSizeBytes));
  }

  /** What this replica may have in flight to the origin, by its own view of this moment. */
  get share(): number {
    return originShare(this.#options.scenario.targetGlobal, this.membership.live.length);
  }

  start(): void {
    const { network, mesh } = this.#options;
    const { clock, membership, replicaId } = this;
    network.attach({ address: addressOf(replicaId), clock, membership });
    mesh.attach(this);
    void membership.start();
    this.replicated?.start();
  }

  /** Ends between two instructions. `loudly`: its connections are reset, as when a process is killed. */
  crash(loudly: boolean): void {
    const { network, mesh, origin } = this.#options;
    assert.ok(!this.#crashed);
    this.#crashed = true;
    this.clock.stall(Number.POSITIVE_INFINITY);
    this.membership.stop();
    network.detach(addressOf(this.replicaId));
    mesh.detach(this.replicaId, loudly);
    origin.disconnect(this.replicaId);
  }

  /**
   * At the end of the simulation, for a process that is dead: Node keeps a composed signal that somebody listens to until
   * it aborts, and with it everything that waits in this process, its memory included.
   */
  bury(): void {
    this.guarded.close();
    void this.replicated?.stop();
    void this.relay.stop();
    void this.filler.stop();
  }

  /** Ends in order, as at SIGTERM. */
  async stop(): Promise<void> {
    this.membership.stop();
    for (const cache of this.metadata) cache.close();
    await this.replicated?.stop();
    await Promise.all([this.relay.stop(), this.filler.stop()]);
    this.guarded.close();
  }

  /** Resolves when this process has time; never once it is dead. */
  turn(): Promise<void> {
    return new Promise((resolve) => this.clock.deliver(resolve));
  }

  #openReplication(): ReplicatedDisks | undefined {
    const { mesh, scenario } = this.#options;
    const { clock, replicaId, disk, budget, membership, coordination } = this;
    const { copies } = scenario;
    if (!disk || copies === 1) return undefined;
    const caller = { replicaId, clock };
    return new ReplicatedDisks({
      copies,
      meshClient: {
        membership,
        coordination,
        chunkPeers: mesh.chunkPeersOf(caller),
        inventoryPeers: mesh.inventoryPeersOf(caller),
      },
      disk,
      budget,
      clock,
      logger: new RecordedLogger(),
      antiEntropy,
    });
  }

  #takeShare(): void {
    const nowMs = this.clock.monotonic();
    const { share } = this;
    const before = this.shareAtChange;
    const greatest = before.atMs === nowMs ? Math.max(before.greatest, share) : share;
    this.shareAtChange = { atMs: nowMs, greatest };
    this.guarded.resize(share);
  }

  /** The origin as heads ask it, with each of their requests told to the checks. */
  #watchedOrigin(): Pick<GuardedOrigin, "id" | "opens" | "head" | "open"> {
    const { guarded } = this;
    const { onMetadata } = this.#options;
    const untold = new Set<string>();
    return {
      id: originId,
      opens: (bytes) => guarded.opens(bytes),
      head: (location, asker) => {
        onMetadata(location, untold.delete(location.key) ? "after-opening" : "head");
        return guarded.head(location, asker);
      },
      open: async (request, receive, asker) => {
        onMetadata(request, "opening");
        const answer = await guarded.open(request, receive, asker);
        if (answer.outcome === "unsatisfiable") untold.add(request.key);
        return answer;
      },
    };
  }

  #openObjects() {
    const { mesh, chance, scenario, medium, onList } = this.#options;
    const { chunkTiers } = scenario;
    const { clock, coordination, guarded, replicaId, membership } = this;
    const shared = { clock, chunkTiers, ttlMs, negativeTtlMs, entriesMax: 1000 };
    // As in src/replica/read-path.ts: where another store may have the bytes, a HEAD comes first.
    const mayBeElsewhere = this.cachestore ?? this.replicated;
    const wereEmpty = !this.disk || medium.size === 0;
    const places = mayBeElsewhere ? undefined : firstBytesPlaces(this.filler, wereEmpty);
    const authority = new Directory({
      ...shared,
      source: new OriginHeads(this.#watchedOrigin(), places && { places, chunkTiers }),
    });
    const peers = mesh.objectPeersOf({ replicaId, clock });
    const cluster = new ClusterHeads({ originId, coordination, peers, authority, chunkTiers });
    const directory = new Directory({ ...shared, source: cluster });
    const listingsOf = (source: ListingSource): ListingCache =>
      new ListingCache({
        source,
        clock,
        ttlMs,
        entriesMax: 200,
        bytesMax: 2 * MiB,
        responseBytesMax: 100 * KiB,
        // A page is fresh from when its question began to wait: where none waits, LISTs are a whole TTL apart.
        runningMax: 100,
        queueTimeoutMs,
      });
    const watchedListings = {
      list: (request: ListRequest) => {
        onList(request);
        return guarded.list(request);
      },
    };
    const authorityListings = listingsOf(new OriginListings(watchedListings));
    const listings = listingsOf(
      new ClusterListings({ originId, coordination, peers, authority: authorityListings }),
    );
    const parts = new OriginParts(guarded);
    const authorityParts = new PartTables({ originId, source: parts, clock, ttlMs, entriesMax: 10 });
    const objects = new ObjectServer({
      origins: new Map([[originId, { directory, authority, authorityListings, authorityParts }]]),
      coordination,
      publish: (rumor) => membership.publish(rumor),
      random: chance.forkRandom(),
    });
    membership.listen("invalidation", (body) => objects.heardInvalidation(body));
    return { directory, authority, listings, authorityListings, objects };
  }
}
