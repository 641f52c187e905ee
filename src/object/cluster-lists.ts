/**
 * The cluster as a source of listings: each page is had from the replica that coordinates its prefix. As with metadata
 * (cluster-heads.ts) there are two caches on every replica, of which only the one behind this waits for the origin.
 */
import type { Coordination } from "../membership/coordination.ts";
import type { ListRequest } from "../origin/origin.ts";
import { CoordinatorCall } from "./coordinator-call.ts";
import type { ListAnswer, ListAnswerSource, ListCache } from "./list-cache.ts";
import type { ObjectPeers } from "./object-peers.ts";
import { listPlacementName } from "./placement-name.ts";

export interface ClusterListsOptions {
  readonly originId: string;
  readonly coordination: Coordination;
  readonly peers: ObjectPeers;
  /** What this replica knows as a coordinator, or finds out in place of one. */
  readonly authority: ListCache;
}

export class ClusterLists implements ListAnswerSource {
  readonly #originId: string;
  readonly #peers: ObjectPeers;
  readonly #authority: ListCache;
  readonly #call: CoordinatorCall;

  constructor({ originId, coordination, peers, authority }: ClusterListsOptions) {
    this.#originId = originId;
    this.#peers = peers;
    this.#authority = authority;
    this.#call = new CoordinatorCall(coordination);
  }

  /** Pages by who answered them. */
  get stats() {
    return this.#call.stats;
  }

  list(request: ListRequest): Promise<ListAnswer> {
    return this.#call.ask<ListAnswer>(
      listPlacementName(this.#originId, request),
      (peer) => this.#peers.list(peer, { originId: this.#originId, request }),
      () => this.#authority.answer(request),
    );
  }
}
