/**
 * The keepers of a chunk where disks are replicated: the live members that rank best for its path, as many as there
 * should be copies. The first of them is the coordinator. So when a coordinator fails, the next one holds the chunks
 * that it is asked for, and a member that joins or leaves moves only the chunks that it takes over or kept.
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

  /** Fewer than `copies` only where there are fewer members. */
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
   * The replicas that this one asks for a chunk, best first: the other keepers, and those next in rank, which kept the
   * chunk until a member joined. There is one more than `copies`: enough to find a chunk after a change of one member,
   * and few enough that an absent chunk costs little.
   */
  holders(path: string): readonly Member[] {
    const ranked = this.#coordination.ranked(path, this.copies + 2);
    return ranked
      .filter(({ replicaId }) => replicaId !== this.#coordination.selfId)
      .slice(0, this.copies + 1);
  }
}
