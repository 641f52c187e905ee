/**
 * Asks whoever coordinates a name: this replica itself, else a peer, once. Metadata is small, so that there is nothing to
 * resume; and what a peer cannot answer the origin can, so that there is no second best to look for:
 *
 *   1. A peer that answers is believed, be it with an error: what the origin said is final, whoever asked it.
 *   2. "Not coordinator" is believed once. Its view is merged, and whoever coordinates the name by it is asked; where
 *      that is the same one again, the views disagree, and this replica asks the origin.
 *   3. A peer out of reach is left alone, and this replica asks the origin.
 *
 * Whoever still has an answer to fall back to asks the coordinator or nobody: where a replica is lost, all that is hot on
 * the others would otherwise be asked of the origin at once.
 */
import { OrcaError } from "../base/orca-error.ts";
import type { Coordination } from "../membership/coordination.ts";
import type { Member } from "../membership/member.ts";
import { NotCoordinator } from "../membership/not-coordinator.ts";

export class CoordinatorCall {
  /** Whose answer it was: a peer's, this replica's as the next in rank, or this replica's in place of a peer. */
  readonly stats = { peer: 0, self: 0, inPlace: 0 };
  readonly #coordination: Coordination;

  constructor(coordination: Coordination) {
    this.#coordination = coordination;
  }

  /**
   * @param mayStandIn whether this replica answers in place of a coordinator out of reach.
   * @throws OrcaError: whatever the one who was asked last throws; `peer_unavailable` where nobody stands in.
   */
  async ask<Answer>(
    name: string,
    askPeer: (peer: Member) => Promise<Answer>,
    askSelf: () => Promise<Answer>,
    mayStandIn = true,
  ): Promise<Answer> {
    const coordination = this.#coordination;
    let askedId: string | undefined;
    for (let attempt = 0; attempt < 2; attempt += 1) {
      const passedOver: string[] = [];
      const peer = coordination.next(name, passedOver);
      if (passedOver.length > 0 && !mayStandIn) break;
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
    if (!mayStandIn) {
      throw new OrcaError("peer_unavailable", "object", `Cannot ask the coordinator of "${name}"`);
    }
    this.stats.inPlace += 1;
    return askSelf();
  }
}
