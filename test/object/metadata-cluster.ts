/**
 * The metadata of several replicas over one origin that counts its requests, connected by a network in memory. The test
 * sets each replica's view of the others, and decides when the rumors of one replica reach the others.
 */
import { OrcaError } from "../../src/base/orca-error.ts";
import { SeededRandom } from "../../src/base/random.ts";
import { defaultChunkTiers } from "../../src/chunk/chunk-layout.ts";
import { Coordination } from "../../src/membership/coordination.ts";
import type { Member } from "../../src/membership/member.ts";
import type { Rumor } from "../../src/membership/rumor.ts";
import { ClusterHeads } from "../../src/object/cluster-heads.ts";
import { ClusterListings } from "../../src/object/cluster-listings.ts";
import { Directory } from "../../src/object/directory.ts";
import type { LifetimePlace } from "../../src/object/freshness/lifetimes.ts";
import { OriginHeads } from "../../src/object/heads/origin-heads.ts";
import { ListingCache, OriginListings } from "../../src/object/listing-cache.ts";
import type { LookupResult } from "../../src/object/object-record.ts";
import { ObjectServer } from "../../src/object/object-server.ts";
import { ClusterParts } from "../../src/object/parts/cluster-parts.ts";
import { OriginParts } from "../../src/object/parts/origin-parts.ts";
import { PartTables } from "../../src/object/parts/part-tables.ts";
import type {
  ListPage,
  ListRequest,
  ObjectHead,
  ObjectLocation,
  ObjectPart,
  PartRequest,
} from "../../src/origin/origin.ts";
import { objectPlacementName } from "../../src/placement/placement-name.ts";
import { FakeClock } from "../support/fake-clock.ts";
import { memberOf } from "../support/member-of.ts";
import { ObjectPeersNetwork } from "../support/object-peers-network.ts";

export const originId = "origin-a";
export const location: ObjectLocation = { bucket: "models", key: "llama/weights.bin" };
export const ttlMs = 300_000;
export const negativeTtlMs = 60_000;
export const listTtlMs = 30_000;

export const listRequest: ListRequest = {
  bucket: "models",
  prefix: "llama/",
  delimiter: "",
  maxKeys: 1000,
  continuationToken: "",
  startAfter: "",
};

/** One object, `location`, which the test overwrites. */
class CountedOrigin {
  readonly id = originId;
  readonly hasParts = true;
  readonly stats = { heads: 0, lists: 0, parts: 0 };
  /** Undefined: the object does not exist. */
  etag: string | undefined = "v1";
  /** Thrown in place of an answer. */
  fault: OrcaError | undefined;
  /** An answer waits for this after it was computed. */
  held: Promise<void> | undefined;

  async head(): Promise<ObjectHead | null> {
    this.stats.heads += 1;
    const { etag, fault } = this;
    await this.held;
    if (fault) throw fault;
    return etag === undefined ? null : { etag, sizeBytes: 10, lastModifiedMs: 0, metadata: {} };
  }

  /** Of two parts, of 6 bytes and of 4. */
  async part({ etag, partNumber }: PartRequest): Promise<ObjectPart> {
    this.stats.parts += 1;
    const { fault } = this;
    const isSame = etag === this.etag;
    await this.held;
    if (fault) throw fault;
    if (!isSame) throw new OrcaError("origin_etag_changed", "origin", "x");
    if (partNumber > 2) return { kind: "absent", count: 0 };
    const [start, end] = partNumber === 1 ? [0, 6] : [6, 10];
    return { kind: "range", start, end, count: 2 };
  }

  async list({ prefix }: ListRequest): Promise<ListPage> {
    this.stats.lists += 1;
    const { etag = "", fault } = this;
    await this.held;
    if (fault) throw fault;
    const object = { key: `${prefix}weights.bin`, sizeBytes: 10, etag, lastModifiedMs: 0 };
    return { objects: [object], commonPrefixes: [], nextContinuationToken: "" };
  }
}

export interface MetadataClusterOptions {
  readonly ttlMs?: number;
  readonly negativeTtlMs?: number;
  readonly listTtlMs?: number;
  readonly refreshAhead?: number;
  readonly staleIfErrorMs?: number;
  readonly lifetimePlaces?: readonly LifetimePlace[];
  readonly entriesMax?: number;
}

function openReplica(
  self: Member,
  members: readonly Member[],
  origin: CountedOrigin,
  network: ObjectPeersNetwork,
  clock: FakeClock,
  options: MetadataClusterOptions,
) {
  const view = {
    self,
    live: members,
    /** Whether it replaces its view by those of others. */
    acceptsViews: false,
    probed: [] as string[],
    learnt: 0,
    members: (): Member[] => [...view.live],
    learn: (learnt: readonly Member[]): void => {
      view.learnt += 1;
      if (view.acceptsViews) view.live = [...learnt];
    },
    probeNext: (replicaId: string): void => void view.probed.push(replicaId),
  };
  const coordination = new Coordination({ membership: view, clock });
  const peers = network.peersOf(self.replicaId);
  const shared = { clock, chunkTiers: defaultChunkTiers, ttlMs, negativeTtlMs, entriesMax: 100, ...options };
  const authority = new Directory({ ...shared, source: new OriginHeads(origin) });
  const heads = new ClusterHeads({ originId, coordination, peers, authority, chunkTiers: defaultChunkTiers });
  const directory = new Directory({ ...shared, source: heads });
  const listShared = {
    clock,
    ttlMs: options.listTtlMs ?? listTtlMs,
    entriesMax: 100,
    bytesMax: 100_000,
    responseBytesMax: 1000,
    runningMax: 100,
    queueTimeoutMs: 5000,
  };
  const authorityListings = new ListingCache({ ...listShared, source: new OriginListings(origin) });
  const clusterListings = new ClusterListings({
    originId,
    coordination,
    peers,
    authority: authorityListings,
  });
  const listings = new ListingCache({ ...listShared, source: clusterListings });
  const partShared = { originId, clock, ttlMs: options.ttlMs ?? ttlMs, entriesMax: 100 };
  const authorityParts = new PartTables({ ...partShared, source: new OriginParts(origin) });
  const clusterParts = { originId, hasParts: true, coordination, peers, authority: authorityParts };
  const parts = new PartTables({ ...partShared, source: new ClusterParts(clusterParts) });
  const rumors: Rumor[] = [];
  const server = new ObjectServer({
    origins: new Map([[originId, { directory, authority, authorityListings, authorityParts }]]),
    coordination,
    publish: (rumor) => void rumors.push(rumor),
    random: new SeededRandom(1),
  });
  network.hosts.set(self.replicaId, server);
  return {
    id: self.replicaId,
    view,
    coordination,
    authority,
    directory,
    heads,
    listings,
    authorityListings,
    clusterListings,
    parts,
    authorityParts,
    server,
    rumors,
    /** What a client would receive: an ETag, or the code of an error. */
    etag: async (): Promise<string> => outcomeOf(await directory.lookup(location)),
    /** The same for a read that must agree with other replicas. */
    refreshedEtag: async (): Promise<string> => outcomeOf(await directory.lookupRefreshed(location)),
    /** The same for a client that contradicts this replica's answer. */
    contradictedEtag: async (): Promise<string> =>
      outcomeOf(
        await directory.revalidate(location, directory.peek(location) ?? (await directory.lookup(location))),
      ),
    /** Whether a read that must agree with other replicas is answered without a question. */
    isRefreshed: (): boolean => directory.peekRefreshed(location) !== undefined,
    /** The answer without a question, if there is one. */
    knownEtag: (): string | undefined => {
      const known = directory.peek(location);
      return known && outcomeOf(known);
    },
  };
}

export type MetadataReplica = ReturnType<typeof openReplica>;

export function metadataCluster(options: MetadataClusterOptions = {}) {
  const clock = new FakeClock();
  const origin = new CountedOrigin();
  const network = new ObjectPeersNetwork();
  const members = ["r0", "r1", "r2"].map((id) => memberOf(id));
  const replicas = members.map((self) => openReplica(self, members, origin, network, clock, options));
  /** The replicas by their rank for `name`. */
  const ranked = (name: string): [MetadataReplica, MetadataReplica, MetadataReplica] => {
    const skipped: string[] = [];
    const order = members.map(() => {
      const id = replicas[0]?.coordination.coordinator(name, skipped).replicaId as string;
      skipped.push(id);
      return replicas.find((replica) => replica.id === id);
    });
    return order as [MetadataReplica, MetadataReplica, MetadataReplica];
  };
  /** Delivers the rumors published since the last call to all other replicas. Returns how many there were. */
  const spreadRumors = (): number => {
    let count = 0;
    for (const publisher of replicas) {
      for (const rumor of publisher.rumors.splice(0)) {
        count += 1;
        if (rumor.kind !== "invalidation") continue;
        for (const { server } of replicas.filter((replica) => replica !== publisher))
          server.heardInvalidation(rumor.body);
      }
    }
    return count;
  };
  const [coordinator, second, third] = ranked(objectPlacementName(originId, location));
  return { clock, origin, network, members, replicas, ranked, spreadRumors, coordinator, second, third };
}

export function unavailable(): OrcaError {
  return new OrcaError("origin_unavailable", "origin", "Cannot reach the origin");
}

function outcomeOf(result: LookupResult): string {
  return result.kind === "found" ? result.record.version.etag : result.error.code;
}
