/**
 * The receiving side of metadata. It answers replicas that take this one for the coordinator, from its cache or from the
 * origin. It never asks another replica, so a question makes one hop, whatever the views say.
 *
 * It also handles invalidations. If this replica finds a change, or a user reports one here, it forgets the object's
 * metadata and publishes an invalidation. If another member publishes one, it only forgets, and membership spreads the
 * invalidation. Listings are not invalidated: a key may be in any number of pages, and their TTL is short.
 */
import { OrcaError } from "../base/orca-error.ts";
import type { Random } from "../base/random.ts";
import type { Coordination } from "../membership/coordination.ts";
import { NotCoordinator } from "../membership/not-coordinator.ts";
import type { Rumor, RumorBodies } from "../membership/rumor.ts";
import { listingPlacementName, objectPlacementName } from "../placement/placement-name.ts";
import type { Asker, Trace } from "../trace/trace.ts";
import type { Directory } from "./directory.ts";
import type { ListingCache } from "./listing-cache.ts";
import {
  type ObjectAnswers,
  type ObjectName,
  type PeerHeadAnswer,
  type PeerHeadRequest,
  type PeerListAnswer,
  type PeerListRequest,
  type PeerPartAnswer,
  type PeerPartRequest,
} from "./object-peers.ts";
import type { PartTables } from "./parts/part-tables.ts";

/** The caches of one origin. */
export interface ServedOrigin {
  /** Answers this replica's clients. */
  readonly directory: Directory;
  /** Asks the origin, and answers peers. */
  readonly authority: Directory;
  /** The authority for listings. */
  readonly authorityListings: ListingCache;
  /** The authority for parts. */
  readonly authorityParts: PartTables;
}

export interface ObjectServerOptions {
  readonly origins: ReadonlyMap<string, ServedOrigin>;
  readonly coordination: Coordination;
  /** Sends a rumor to all other members. */
  readonly publish: (rumor: Rumor) => void;
  readonly random: Random;
  readonly trace?: Trace | undefined;
}

/** The tags and lengths around the texts of an encoded invalidation. */
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
  async head(request: PeerHeadRequest): Promise<PeerHeadAnswer> {
    const { originId, location, staleEtag, contradictedEtag, requestId, firstBytes, isAhead } = request;
    const { authority } = this.#served(originId);
    const asker = this.#accept({ originId, location }, "metadata", requestId);
    return authority.answer(location, staleEtag, contradictedEtag, asker, firstBytes, isAhead);
  }

  /** @see ObjectAnswers.part */
  async part({ originId, request, requestId }: PeerPartRequest): Promise<PeerPartAnswer> {
    const { authorityParts } = this.#served(originId);
    const asker = this.#accept({ originId, location: request }, "part", requestId);
    return authorityParts.answer(request, asker);
  }

  /** @see ObjectAnswers.list */
  async list({ originId, request }: PeerListRequest): Promise<PeerListAnswer> {
    const { authorityListings } = this.#served(originId);
    this.#checkCoordinator(listingPlacementName(originId, request));
    return authorityListings.answer(request);
  }

  /** @see ObjectAnswers.invalidate */
  invalidate(name: ObjectName): string {
    const { directory, authority } = this.#served(name.originId);
    directory.invalidate(name.location);
    authority.invalidate(name.location);
    return this.#publish(name, "");
  }

  /** Applies an invalidation of another member. Origins that are not configured here are ignored. */
  heardInvalidation({
    originId,
    bucket,
    objectKey,
    versionId,
    staleEtag,
  }: RumorBodies["invalidation"]): void {
    this.stats.invalidationsHeard += 1;
    const served = this.#options.origins.get(originId);
    const location = { bucket, key: objectKey, versionId };
    for (const directory of served ? [served.directory, served.authority] : []) {
      // A directory that has looked again already has the new version, and keeps it.
      if (staleEtag === "") directory.invalidate(location);
      else directory.forget(location, staleEtag);
    }
  }

  #served(originId: string): ServedOrigin {
    const served = this.#options.origins.get(originId);
    if (served) return served;
    throw new OrcaError(
      "invalid_argument",
      "object",
      `Cannot answer for origin "${originId}": this replica has no origin with that id`,
    );
  }

  /** The asker, where this replica coordinates the object. @throws NotCoordinator. */
  #accept(
    { originId, location }: ObjectName,
    question: "metadata" | "part",
    requestId: string | undefined,
  ): Asker | undefined {
    const name = objectPlacementName(originId, location);
    const { coordination, trace } = this.#options;
    if (trace?.isOn && requestId !== undefined) {
      const { bucket, key } = location;
      const result = coordination.isMine(name) ? "accepted" : "not_coordinator";
      trace.step("peer_request", requestId, { originId, bucket, key, question, result });
    }
    this.#checkCoordinator(name);
    return requestId === undefined ? undefined : { requestId, waits: undefined };
  }

  #checkCoordinator(name: string): void {
    const { coordination } = this.#options;
    const coordinator = coordination.coordinator(name);
    if (coordinator.replicaId === coordination.selfId) return;
    this.stats.notCoordinator += 1;
    throw new NotCoordinator(name, coordinator, coordination.members());
  }

  #publish({ originId, location: { bucket, key, versionId } }: ObjectName, staleEtag: string): string {
    const { coordination, publish } = this.#options;
    this.stats.invalidationsPublished += 1;
    const id = `${coordination.selfId}-${this.#hex32()}${this.#hex32()}`;
    const textBytes = Buffer.byteLength(id + originId + bucket + key + staleEtag + (versionId ?? ""));
    publish({
      kind: "invalidation",
      id,
      body: { originId, bucket, objectKey: key, ...(versionId !== undefined && { versionId }), staleEtag },
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
