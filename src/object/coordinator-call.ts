/**
 * Asks the coordinator of a name: this replica itself, or one peer, once. Metadata is small, so there is nothing to
 * resume. If the peer cannot answer, the origin can, so no second peer is tried in its place:
 *
 *   1. A peer's answer is final, even an error: an error of the origin is the same for every replica that asks.
 *   2. "Not coordinator" is accepted once. The peer's view is merged, and the coordinator by the merged view is asked. If
 *      that is the same peer again, the views disagree, and this replica asks the origin.
 *   3. If the peer is unreachable, this replica asks the origin.
 *
 * A caller that has a cached answer asks only the coordinator and never falls back to the origin. Otherwise the failure
 * of one replica would make the others ask the origin for all their hot objects at once.
 */
import { OrcaError } from "../base/orca-error.ts";
import type { Coordination } from "../membership/coordination.ts";
import type { Member } from "../membership/member.ts";
import { NotCoordinator } from "../membership/not-coordinator.ts";

export class CoordinatorCall {
  /** Answers of a peer, of this replica by its rank, and of this replica after a peer gave none (`fallback`). */
  readonly stats = { peer: 0, self: 0, fallback: 0 };
  readonly #coordination: Coordination;

  constructor(coordination: Coordination) {
    this.#coordination = coordination;
  }

  /**
   * @param mayFallBack whether this replica answers in place of a coordinator that gives no answer.
   * @throws OrcaError: the error of the replica asked last, or `peer_unavailable` without an answer and a fallback.
   */
  async ask<Answer>(
    name: string,
    askPeer: (peer: Member) => Promise<Answer>,
    askSelf: () => Promise<Answer>,
    mayFallBack = true,
  ): Promise<Answer> {
    const coordination = this.#coordination;
    let askedId: string | undefined;
    for (let attempt = 0; attempt < 2; attempt += 1) {
      const skipped: string[] = [];
      const peer = coordination.next(name, skipped);
      if (skipped.length > 0 && !mayFallBack) break;
      const { replicaId } = peer;
      if (replicaId === coordination.selfId) {
        this.stats.self += 1;
        return askSelf();
      }
      if (replicaId === askedId) break;
      askedId = replicaId;
      try {
        const answer = await askPeer(peer);
        coordination.answered(replicaId);
        this.stats.peer += 1;
        return answer;
      } catch (thrown) {
        const error = OrcaError.from(thrown, "internal", "object", `Cannot ask replica "${replicaId}"`);
        if (error.isPeerAbsence) coordination.failed(replicaId);
        else coordination.answered(replicaId);
        if (error.isPeerTrouble) break;
        if (!(error instanceof NotCoordinator)) throw error;
        coordination.learn(error.members);
      }
    }
    if (!mayFallBack) {
      const message = `Cannot ask the coordinator of "${name}": no replica answered as its coordinator`;
      throw new OrcaError("peer_unavailable", "object", message);
    }
    this.stats.fallback += 1;
    return askSelf();
  }
}
