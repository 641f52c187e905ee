/**
 * The cluster as a source of metadata: each object's is had from the replica that coordinates it, so that the origin
 * sees one HEAD per object and TTL from all replicas together.
 *
 * There are two directories on every replica, and nothing can wait in a circle: the *assembler's*, in front of this,
 * waits for the *authority* of one replica; an authority waits for the origin and for nobody else. Answers come with what
 * is left of their TTL, also from this replica's own authority.
 *
 * An overwrite costs the cluster one HEAD, not a TTL of errors:
 *   1. At the assembler A, a fill of version 1 fails with origin_etag_changed. A's directory forgets that version, and
 *      has its ETag in doubt (doubts.ts).
 *   2. A's next look-up asks the coordinator C, with the ETag in doubt as the stale one.
 *   3. If C still keeps version 1, it drops it and sends a HEAD, its own doubt raised. If C keeps anything else, somebody
 *      was faster, and that is the answer. If a HEAD is in flight that was sent with this doubt, it is joined; one that
 *      was sent without may be from before the overwrite, and another is sent.
 *   4. The HEAD brings version 2. C keeps it, publishes an invalidation (object-server.ts), and answers A.
 *   5. Another replica B, which kept version 1 too, hears the invalidation, forgets, and asks C: version 2, no HEAD. An
 *      answer that was on its way to B meanwhile is given to those who wait, and not kept.
 *   6. Where the invalidation is lost, B goes on with version 1 for what is left of its TTL, as it may. The first chunk
 *      of it that has to be filled takes B to 1, and to an answer at 3 without a HEAD.
 *
 * What reads in parts through several replicas cannot wait for 5 or 6: (a) B still believes version 1; (b) a client has
 * read version 2 through A, or at the origin, and pins it; (c) its next part comes to B, for which If-Match fails. So
 * before B says 412 it revalidations version 1 at C ({@link Directory.revalidate}). If C keeps another version, that is the
 * answer, and contradicted in its turn where it does not match either; else C asks the origin, once for all who revalidation it
 * within a second, so that a client with a nonsense If-Match costs one HEAD a second and no more. And what begins a
 * download in parts takes a version that C has named within the last second ({@link Directory.lookupRefreshed}), or what
 * is known where C cannot say.
 */
import type { Coordination } from "../membership/coordination.ts";
import type { ObjectLocation } from "../origin/origin.ts";
import { CoordinatorCall } from "./coordinator-call.ts";
import type { Directory, HeadAnswer, HeadQuestion, HeadSource } from "./directory.ts";
import type { ObjectPeers } from "./object-peers.ts";
import { objectPlacementName } from "./placement-name.ts";

export interface ClusterHeadsOptions {
  readonly originId: string;
  readonly coordination: Coordination;
  readonly peers: ObjectPeers;
  /** What this replica knows as a coordinator, or finds out in place of one. */
  readonly authority: Directory;
}

export class ClusterHeads implements HeadSource {
  readonly id: string;
  readonly isOrigin = false;
  readonly #peers: ObjectPeers;
  readonly #authority: Directory;
  readonly #call: CoordinatorCall;

  constructor({ originId, coordination, peers, authority }: ClusterHeadsOptions) {
    this.id = originId;
    this.#peers = peers;
    this.#authority = authority;
    this.#call = new CoordinatorCall(coordination);
  }

  /** Look-ups by who answered them. */
  get stats() {
    return this.#call.stats;
  }

  head(
    location: ObjectLocation,
    { staleEtag, contradictedEtag, isRefresh }: HeadQuestion,
  ): Promise<HeadAnswer> {
    return this.#call.ask<HeadAnswer>(
      objectPlacementName(this.id, location),
      (peer) => this.#peers.head(peer, { originId: this.id, location, staleEtag, contradictedEtag }),
      () => this.#authority.answer(location, staleEtag, contradictedEtag),
      !isRefresh,
    );
  }
}
