/**
 * The read paths of several replicas over one scripted origin, joined by a network in memory. What each believes of the
 * others is set by the test, so views can be made to disagree in any way.
 */

import type { Logger } from "../../src/base/logger.ts";
import { MemoryBudget } from "../../src/base/memory-budget.ts";
import { ReaderMemory } from "../../src/base/reader-memory.ts";
import { MiB } from "../../src/base/units.ts";
import { ObjectVersion } from "../../src/chunk/object-version.ts";
import { BlockReads } from "../../src/fill/block-reads.ts";
import { ChunkServer } from "../../src/fill/chunk-server.ts";
import { Filler } from "../../src/fill/filler.ts";
import type { ReadPath } from "../../src/fill/read-path.ts";
import { ReadWindows } from "../../src/fill/read-windows.ts";
import { Relay } from "../../src/fill/relay.ts";
import { Coordination, type MembershipView } from "../../src/membership/coordination.ts";
import type { Member } from "../../src/membership/member.ts";
import { placedWithObject } from "../../src/placement/placement-name.ts";
import { MemoryTier } from "../../src/store/memory-tier.ts";
import { Trace } from "../../src/trace/trace.ts";
import { ChunkPeersNetwork } from "./chunk-peers-network.ts";
import { FakeClock } from "./fake-clock.ts";
import { FakeStore } from "./fake-store.ts";
import { memberOf } from "./member-of.ts";
import { ScriptedOrigin } from "./scripted-origin.ts";

/** A view that a test writes. */
class WrittenView implements MembershipView {
  readonly self: Member;
  readonly probed: string[] = [];
  readonly learnt: (readonly Member[])[] = [];
  live: readonly Member[];
  /** Whether it believes what others tell. */
  believes = false;

  constructor(self: Member, live: readonly Member[]) {
    this.self = self;
    this.live = live;
  }

  members(): Member[] {
    return [...this.live];
  }

  learn(members: readonly Member[]): void {
    this.learnt.push(members);
    if (this.believes) this.live = [...members];
  }

  probeNext(replicaId: string): void {
    this.probed.push(replicaId);
  }
}

class FakeDigestStore extends FakeStore {
  sha256(): undefined {
    return undefined;
  }
}

export interface ClusterFixtureOptions {
  readonly replicas?: number;
  readonly maxBytes?: number;
  readonly disk?: boolean;
  readonly readAheadMax?: number;
  readonly chunkSizeBytes?: number;
  /** By replica id. */
  readonly loggers?: ReadonlyMap<string, Logger>;
}

export const stallTimeoutMs = 5000;

export function clusterFixture(options: ClusterFixtureOptions = {}) {
  const clock = new FakeClock();
  const origin = new ScriptedOrigin();
  const network = new ChunkPeersNetwork({ clock, stallTimeoutMs });
  const members = Array.from({ length: options.replicas ?? 3 }, (_, index) => memberOf(`r${index}`));
  const replicas = members.map((self) => {
    const budget = new MemoryBudget({ maxBytes: options.maxBytes ?? 128 * MiB, clock, poison: true });
    const memory = new MemoryTier({ budget });
    const disk = options.disk ? new FakeDigestStore() : undefined;
    const logger = options.loggers?.get(self.replicaId);
    const trace = logger && new Trace(logger, clock);
    const shared = { memory, disk, budget, queueTimeoutMs: 5000, trace };
    const filler = new Filler({ ...shared, origins: new Map([[origin.id, origin]]) });
    const view = new WrittenView(self, members);
    const coordination = new Coordination({ membership: view, clock });
    const peers = network.peersOf(self.replicaId);
    const relay = new Relay({ ...shared, filler, peers, coordination, clock });
    const path: ReadPath = {
      ...shared,
      flights: relay,
      readerMemory: new ReaderMemory(budget, clock),
      blockReads: new BlockReads({ budget, clock, queueTimeoutMs: 5000 }),
      readAheadMax: options.readAheadMax ?? 0,
      windows: new ReadWindows(),
      sentBytes: { memory: 0, disk: 0, cachestore: 0, peer: 0, origin: 0, join: 0 },
    };
    const server = new ChunkServer({ path, filler, disk, coordination });
    network.hosts.set(self.replicaId, server);
    return { id: self.replicaId, budget, memory, disk, filler, relay, view, coordination, path, server };
  });
  const version = (key: string, sizeBytes: number): ObjectVersion =>
    new ObjectVersion({
      originId: origin.id,
      bucket: "b",
      objectKey: key,
      etag: "v1",
      sizeBytes,
      chunkSizeBytes: options.chunkSizeBytes ?? 8 * MiB,
    });
  /** The replicas in the order of a chunk's rank by the true view: its coordinator first. */
  const ranked = (of: ObjectVersion, index = 0) => {
    const passedOver: string[] = [];
    return members.map(() => {
      const [first] = replicas;
      const { replicaId } = (first as (typeof replicas)[number]).coordination.coordinator(
        placedWithObject({ version: of, index }),
        passedOver,
      );
      passedOver.push(replicaId);
      return replicas.find(({ id }) => id === replicaId) as (typeof replicas)[number];
    });
  };
  return { clock, origin, network, members, replicas, version, ranked };
}
