/**
 * The metadata of several replicas over one origin that counts what it is asked, joined by a network in memory. What each
 * replica believes of the others is set by the test, and so is when the rumors of one are heard by the others.
 */
import { OrcaError } from "../../src/base/orca-error.ts";
import { SeededRandom } from "../../src/base/random.ts";
import { defaultChunkTiers } from "../../src/chunk/chunk-layout.ts";
import { Coordination } from "../../src/membership/coordination.ts";
import type { Member } from "../../src/membership/member.ts";
import type { Rumor } from "../../src/membership/rumor.ts";
import { ClusterHeads } from "../../src/object/cluster-heads.ts";
import { ClusterListings } from "../../src/object/cluster-listings.ts";
import { Directory, type LookupResult } from "../../src/object/directory.ts";
import { ListingCache } from "../../src/object/listing-cache.ts";
import { ObjectServer } from "../../src/object/object-server.ts";
import { OriginHeads } from "../../src/object/origin-heads.ts";
import { OriginListings } from "../../src/object/origin-listings.ts";
import { objectPlacementName } from "../../src/object/placement-name.ts";
import type { ListPage, ListRequest, ObjectHead, ObjectLocation } from "../../src/origin/origin.ts";
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
  readonly stats = { heads: 0, lists: 0 };
  /** Undefined where there is none. */
  etag: string | undefined = "v1";
  /** Thrown in place of an answer. */
  fault: OrcaError | undefined;
  /** What an answer waits for, after it was made. */
  held: Promise<void> | undefined;

  async head(): Promise<ObjectHead | null> {
    this.stats.heads += 1;
    const { etag, fault } = this;
    await this.held;
    if (fault) throw fault;
    return etag === undefined ? null : { etag, sizeBytes: 10, lastModifiedMs: 0, metadata: {} };
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
    /** Whether it believes what others tell. */
    believes: false,
    doubted: [] as string[],
    learnt: 0,
    members: (): Member[] => [...view.live],
    learn: (learnt: readonly Member[]): void => {
      view.learnt += 1;
      if (view.believes) view.live = [...learnt];
    },
    staleMarker: (replicaId: string): void => void view.doubted.push(replicaId),
  };
  const coordination = new Coordination({ membership: view, clock });
  const peers = network.peersOf(self.replicaId);
  const shared = { clock, chunkTiers: defaultChunkTiers, ttlMs, negativeTtlMs, entriesMax: 100, ...options };
  const authority = new Directory({ ...shared, source: new OriginHeads(origin) });
  const heads = new ClusterHeads({ originId, coordination, peers, authority });
  const directory = new Directory({ ...shared, source: heads });
  const listShared = {
    clock,
    ttlMs: options.listTtlMs ?? listTtlMs,
    entriesMax: 100,
    responseBytesMax: 1000,
  };
  const listAuthority = new ListingCache({ ...listShared, source: new OriginListings(origin) });
  const clusterLists = new ClusterListings({ originId, coordination, peers, authority: listAuthority });
  const lists = new ListingCache({ ...listShared, source: clusterLists });
  const rumors: Rumor[] = [];
  const server = new ObjectServer({
    origins: new Map([[originId, { directory, authority, lists: listAuthority }]]),
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
    lists,
    listAuthority,
    clusterLists,
    server,
    rumors,
    /** What a client would be told: an ETag, or the code of a refusal. */
    etag: async (): Promise<string> => toldBy(await directory.lookup(location)),
    /** The same where others must agree. */
    confirmedEtag: async (): Promise<string> => toldBy(await directory.lookupRefreshed(location)),
    /** The same for a client that contradicts what this replica would tell by itself. */
    contradictedEtag: async (): Promise<string> =>
      toldBy(
        await directory.revalidate(location, directory.peek(location) ?? (await directory.lookup(location))),
      ),
    /** Whether who must be agreed with is answered without asking anybody. */
    isConfirmed: (): boolean => directory.peekConfirmed(location) !== undefined,
    /** What would be told without asking anybody. */
    knownEtag: (): string | undefined => {
      const known = directory.peek(location);
      return known && toldBy(known);
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
  /** The replicas in the order of rank for `name`. */
  const ranked = (name: string): [MetadataReplica, MetadataReplica, MetadataReplica] => {
    const passedOver: string[] = [];
    const order = members.map(() => {
      const id = replicas[0]?.coordination.coordinator(name, passedOver).replicaId as string;
      passedOver.push(id);
      return replicas.find((replica) => replica.id === id);
    });
    return order as [MetadataReplica, MetadataReplica, MetadataReplica];
  };
  /** Everybody hears what the others have published since this was last called. Returns how much that was. */
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

function toldBy(result: LookupResult): string {
  return result.kind === "found" ? result.record.version.etag : result.error.code;
}
