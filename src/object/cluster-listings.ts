/**
 * The cluster as a source of listings: each page is had from the replica that coordinates its prefix. As with metadata
 * (cluster-heads.ts) there are two caches on every replica, of which only the one behind this waits for the origin.
 */
import type { Coordination } from "../membership/coordination.ts";
import type { ListRequest } from "../origin/origin.ts";
import { CoordinatorCall } from "./coordinator-call.ts";
import type { ListingAnswer, ListingCache, ListingSource } from "./listing-cache.ts";
import type { ObjectPeers } from "./object-peers.ts";
import { listPlacementName } from "./placement-name.ts";

export interface ClusterListingsOptions {
  readonly originId: string;
  readonly coordination: Coordination;
  readonly peers: ObjectPeers;
  /** What this replica knows as a coordinator, or finds out in place of one. */
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

  /** Pages by who answered them. */
  get stats() {
    return this.#call.stats;
  }

  list(request: ListRequest): Promise<ListingAnswer> {
    return this.#call.ask<ListingAnswer>(
      listPlacementName(this.#originId, request),
      (peer) => this.#peers.list(peer, { originId: this.#originId, request }),
      () => this.#authority.answer(request),
    );
  }
}
