/**
 * The other end of metadata: answers replicas that hold this one for a coordinator, from what it knows or the origin
 * says. It never asks another replica, so that a question makes one hop whatever the views say.
 *
 * It also spreads the news that an object is not what it was, in both directions: found out or told here, it is forgotten
 * here and published; heard from others, it is forgotten here, and membership passes it on. Listings are not
 * invalidated: a key may be in any number of pages, and their TTL is short.
 */
import { OrcaError } from "../base/orca-error.ts";
import type { Random } from "../base/random.ts";
import type { Coordination } from "../membership/coordination.ts";
import { NotCoordinator } from "../membership/not-coordinator.ts";
import type { Rumor, RumorBodies } from "../membership/rumor.ts";
import type { Directory } from "./directory.ts";
import type { ListingCache } from "./listing-cache.ts";
import type {
  ObjectAnswers,
  ObjectName,
  PeerHeadAnswer,
  PeerHeadRequest,
  PeerListAnswer,
  PeerListRequest,
} from "./object-peers.ts";
import { listPlacementName, objectPlacementName } from "./placement-name.ts";

/** What a replica knows of one origin. */
export interface ServedOrigin {
  /** What its own clients are answered from. */
  readonly directory: Directory;
  /** What it knows as a coordinator, straight from the origin. */
  readonly authority: Directory;
  /** Listings that it knows as a coordinator, straight from the origin. */
  readonly lists: ListingCache;
}

export interface ObjectServerOptions {
  readonly origins: ReadonlyMap<string, ServedOrigin>;
  readonly coordination: Coordination;
  /** Tells all other members. */
  readonly publish: (rumor: Rumor) => void;
  readonly random: Random;
}

/** Fields and lengths around the texts of an invalidation on the wire. */
const rumorFramingBytes = 32;

export class ObjectServer implements ObjectAnswers {
  readonly stats = { notCoordinator: 0, invalidationsPublished: 0, invalidationsHeard: 0 };
  readonly #options: ObjectServerOptions;

  constructor(options: ObjectServerOptions) {
    this.#options = options;
    for (const [originId, { authority, directory }] of options.origins) {
      authority.subscribe((location, staleEtag) => {
        directory.forget(location, staleEtag);
        this.#publish({ originId, location }, staleEtag);
      });
    }
  }

  /** @see ObjectAnswers.head */
  async head({ originId, location, staleEtag, contradictedEtag }: PeerHeadRequest): Promise<PeerHeadAnswer> {
    const { authority } = this.#served(originId);
    this.#checkCoordinator(objectPlacementName(originId, location));
    return authority.answer(location, staleEtag, contradictedEtag);
  }

  /** @see ObjectAnswers.list */
  async list({ originId, request }: PeerListRequest): Promise<PeerListAnswer> {
    const { lists } = this.#served(originId);
    this.#checkCoordinator(listPlacementName(originId, request));
    return lists.answer(request);
  }

  /** @see ObjectAnswers.invalidate */
  invalidate(name: ObjectName): string {
    const { directory, authority } = this.#served(name.originId);
    directory.invalidate(name.location);
    authority.invalidate(name.location);
    return this.#publish(name, "");
  }

  /** For what other members publish. An origin that is not configured here is nothing to this replica. */
  heardInvalidation({ originId, bucket, objectKey, staleEtag }: RumorBodies["invalidation"]): void {
    this.stats.invalidationsHeard += 1;
    const served = this.#options.origins.get(originId);
    const location = { bucket, key: objectKey };
    for (const known of served ? [served.directory, served.authority] : []) {
      // Who has looked again already has what came in place of the stale version, and need not ask once more.
      if (staleEtag === "") known.invalidate(location);
      else known.forget(location, staleEtag);
    }
  }

  #served(originId: string): ServedOrigin {
    const served = this.#options.origins.get(originId);
    if (served) return served;
    throw new OrcaError(
      "invalid_argument",
      "object",
      `Cannot answer for origin "${originId}": it is unknown`,
    );
  }

  #checkCoordinator(name: string): void {
    const { coordination } = this.#options;
    const coordinator = coordination.coordinator(name);
    if (coordinator.replicaId === coordination.selfId) return;
    this.stats.notCoordinator += 1;
    throw new NotCoordinator(name, coordinator, coordination.members());
  }

  #publish({ originId, location: { bucket, key } }: ObjectName, staleEtag: string): string {
    const { coordination, publish } = this.#options;
    this.stats.invalidationsPublished += 1;
    const id = `${coordination.selfId}-${this.#hex32()}${this.#hex32()}`;
    const textBytes = Buffer.byteLength(id + originId + bucket + key + staleEtag);
    publish({
      kind: "invalidation",
      id,
      body: { originId, bucket, objectKey: key, staleEtag },
      sizeBytes: rumorFramingBytes + textBytes,
    });
    return id;
  }

  #hex32(): string {
    return Math.floor(this.#options.random.next() * 2 ** 32)
      .toString(16)
      .padStart(8, "0");
  }
}
