/**
 * The cluster as a source of metadata. Metadata of an object comes from the replica that coordinates the object, so the
 * origin receives one HEAD per object and TTL from all replicas together.
 *
 * Each replica has two directories, and they cannot wait in a circle. The *assembler's* directory, in front of this
 * source, waits for the *authority* of one replica. An authority waits only for the origin. Every answer carries its
 * remaining TTL, also an answer of this replica's own authority.
 *
 * An overwrite costs the cluster one HEAD, not a TTL of errors:
 *   1. At the assembler A, a fill of version 1 fails with origin_etag_changed. A's directory forgets that version and
 *      sets a stale marker with its ETag (freshness/stale-markers.ts).
 *   2. A's next look-up asks the coordinator C and sends the stale ETag along.
 *   3. If C has version 1 cached, it drops it, sets a stale marker of its own, and sends a HEAD. If C has another version
 *      cached, another replica was faster, and C answers with that version. If a HEAD is in flight that C sent with this
 *      stale marker, the look-up joins it. A HEAD sent without it may predate the overwrite, so C sends another.
 *   4. The HEAD returns version 2. C caches it, publishes an invalidation (object-server.ts), and answers A.
 *   5. Another replica B also has version 1 cached. It receives the invalidation, forgets version 1, and asks C: version
 *      2, no HEAD. If an answer was on its way to B meanwhile, it serves only the look-ups that wait for it.
 *   6. If the invalidation is lost, B serves version 1 for the rest of its TTL, as it may. The first chunk of version 1
 *      that B must fill leads B to step 1, and step 3 answers it without a HEAD.
 *
 * A download in parts, through several replicas, cannot wait for steps 5 or 6: (a) B has version 1 cached; (b) a client
 * has read version 2 through A, or at the origin, and pins it; (c) its next part goes to B, where If-Match fails. So B
 * revalidates version 1 at C before it answers 412 ({@link Directory.revalidate}). If C has another version cached, C
 * answers with it. B may revalidate that one in turn, if it does not match either. Otherwise C asks the origin, once for
 * all revalidations within a second, so a client with a nonsense If-Match costs at most one HEAD per second. The first
 * request of such a download uses a version that C has named within the last second ({@link Directory.lookupRefreshed}),
 * or the cached version if C cannot answer.
 */
import { OrcaError } from "../base/orca-error.ts";
import type { ChunkTier } from "../chunk/chunk-layout.ts";
import type { Coordination } from "../membership/coordination.ts";
import type { Member } from "../membership/member.ts";
import type { FirstBytes, ObjectLocation } from "../origin/origin.ts";
import { objectPlacementName } from "../placement/placement-name.ts";
import type { Trace } from "../trace/trace.ts";
import { CoordinatorCall } from "./coordinator-call.ts";
import type { Directory } from "./directory.ts";
import { ExpiredHead } from "./freshness/stale-answers.ts";
import type { HeadAnswer, HeadQuestion, HeadSource } from "./heads/head-source.ts";
import { type ObjectPeers, type PeerHeadAnswer, type PeerHeadRequest } from "./object-peers.ts";
import { traced } from "./traced-question.ts";

export interface ClusterHeadsOptions {
  readonly originId: string;
  readonly coordination: Coordination;
  readonly peers: ObjectPeers;
  /** This replica's own: it answers as the coordinator, or in place of one that is unreachable. */
  readonly authority: Directory;
  readonly chunkTiers: readonly ChunkTier[];
  readonly trace?: Trace | undefined;
}

export class ClusterHeads implements HeadSource {
  readonly id: string;
  readonly isOrigin = false;
  readonly #peers: ObjectPeers;
  readonly #authority: Directory;
  readonly #trace: Trace | undefined;
  readonly #call: CoordinatorCall;
  readonly #firstChunkBytesMin: number;

  constructor(options: ClusterHeadsOptions) {
    const { originId, coordination, peers, authority, chunkTiers, trace } = options;
    this.id = originId;
    this.#firstChunkBytesMin = Math.min(...chunkTiers.map(({ chunkSizeBytes }) => chunkSizeBytes));
    this.#peers = peers;
    this.#authority = authority;
    this.#trace = trace;
    this.#call = new CoordinatorCall(coordination);
  }

  /** Look-ups, by the replica that answered. */
  get stats() {
    return this.#call.stats;
  }

  async head(
    location: ObjectLocation,
    { staleEtag, contradictedEtag, isRefresh, isAhead, asker, ...question }: HeadQuestion,
  ): Promise<HeadAnswer> {
    const firstBytes = this.#ofFirstChunk(question.firstBytes);
    const { head, remainingMs, staleAgeMs } = await this.#call.ask<PeerHeadAnswer>(
      objectPlacementName(this.id, location),
      (peer) => {
        const requestId = asker && { requestId: asker.requestId };
        const request = {
          originId: this.id,
          location,
          staleEtag,
          contradictedEtag,
          ...requestId,
          firstBytes,
          ...(isAhead && { isAhead }),
        };
        return this.#ask(peer, request);
      },
      () => this.#authority.answer(location, staleEtag, contradictedEtag, asker, firstBytes, isAhead),
      !isRefresh,
    );
    if (staleAgeMs !== undefined && !(head instanceof OrcaError))
      throw new ExpiredHead(head, staleAgeMs, location.key);
    return { head, remainingMs };
  }

  /** The bytes of other chunks are filled by their own coordinators, which are known only with the version. */
  #ofFirstChunk(firstBytes: FirstBytes | undefined): FirstBytes | undefined {
    // The last bytes lie in a chunk that is known only with the size.
    if (firstBytes === undefined || firstBytes.lastBytes !== undefined) return undefined;
    return firstBytes.offset + firstBytes.lengthBytes <= this.#firstChunkBytesMin ? firstBytes : undefined;
  }

  #ask(peer: Member, request: PeerHeadRequest): Promise<PeerHeadAnswer> {
    const { originId, location, requestId } = request;
    const asked = { originId, location, question: "metadata", peer, requestId } as const;
    return traced(this.#trace, asked, () => this.#peers.head(peer, request));
  }
}
