/**
 * Who keeps a chunk where disks are replicated: the best-ranked live members for its path, as many as there are to be
 * copies. The first of them is its coordinator, so that when a coordinator goes, the next one holds what it is asked
 * for; and a member that joins or leaves moves only the chunks that it wins or had.
 */
import type { Coordination } from "../../membership/coordination.ts";
import type { Member } from "../../membership/member.ts";

export interface KeepersOptions {
  readonly coordination: Coordination;
  /** `cluster.replication`. */
  readonly copies: number;
}

export class Keepers {
  readonly copies: number;
  readonly #coordination: Coordination;

  constructor({ coordination, copies }: KeepersOptions) {
    this.#coordination = coordination;
    this.copies = copies;
  }

  /** Fewer than there are to be copies only where there are fewer members. */
  of(path: string): readonly Member[] {
    return this.#coordination.ranked(path, this.copies);
  }

  isKeptBy(path: string, replicaId: string): boolean {
    return this.of(path).some((keeper) => keeper.replicaId === replicaId);
  }

  isKeptHere(path: string): boolean {
    return this.isKeptBy(path, this.#coordination.selfId);
  }

  /**
   * Whom this replica asks for a chunk, best first: the other keepers and those next in rank, who kept it until a member
   * came. As many as copies and one more, so that a change of one member is bridged and an absent chunk costs little.
   */
  holders(path: string): readonly Member[] {
    const ranked = this.#coordination.ranked(path, this.copies + 2);
    return ranked
      .filter(({ replicaId }) => replicaId !== this.#coordination.selfId)
      .slice(0, this.copies + 1);
  }
}
