/**
 * The cluster as a source of listings. Each page comes from the replica that coordinates its prefix. As with metadata
 * (cluster-heads.ts), each replica has two caches, and only the authority waits for the origin.
 */
import type { Coordination } from "../membership/coordination.ts";
import type { ListRequest } from "../origin/origin.ts";
import { listingPlacementName } from "../placement/placement-name.ts";
import { CoordinatorCall } from "./coordinator-call.ts";
import type { ListingAnswer, ListingCache, ListingSource } from "./listing-cache.ts";
import type { ObjectPeers } from "./object-peers.ts";

export interface ClusterListingsOptions {
  readonly originId: string;
  readonly coordination: Coordination;
  readonly peers: ObjectPeers;
  /** This replica's own: it answers as the coordinator, or in place of one that is unreachable. */
  readonly authority: ListingCache;
}

export class ClusterListings implements ListingSource {
  readonly #originId: string;
  readonly #peers: ObjectPeers;
  readonly #authority: ListingCache;
  readonly #call: CoordinatorCall;

  constructor({ originId, coordination, peers, authority }: ClusterListingsOptions) {
    this.#originId = originId;
    this.#peers = peers;
    this.#authority = authority;
    this.#call = new CoordinatorCall(coordination);
  }

  /** Pages, by the replica that answered. */
  get stats() {
    return this.#call.stats;
  }

  list(request: ListRequest): Promise<ListingAnswer> {
    return this.#call.ask<ListingAnswer>(
      listingPlacementName(this.#originId, request),
      (peer) => this.#peers.list(peer, { originId: this.#originId, request }),
      () => this.#authority.answer(request),
    );
  }
}
