/**
 * The keepers of a chunk where disks are replicated: the live members that rank best for its path, as many as there
 * should be copies. The first of them is the coordinator. So when a coordinator fails, the next one holds the chunks
 * that it is asked for, and a member that joins or leaves moves only the chunks that it takes over or kept.
 */
import type { Coordination } from "../../membership/coordination.ts";
import type { Member } from "../../membership/member.ts";
import { KeeperTable, noKeeper } from "./keeper-table.ts";

export interface KeepersOptions {
  readonly coordination: Coordination;
  /** `cluster.replication`. */
  readonly copies: number;
  /** Chunk paths whose keepers are remembered. */
  readonly rememberedMax?: number;
}

export class Keepers {
  readonly copies: number;
  /** Paths that were ranked, because their keepers were not known. */
  readonly stats = { ranked: 0 };
  readonly #coordination: Coordination;
  readonly #table: KeeperTable;
  /** The members that the table is about, and where each is in their list. */
  #live: readonly Member[] = [];
  readonly #positions = new Map<string, number>();

  constructor({ coordination, copies, rememberedMax }: KeepersOptions) {
    this.#coordination = coordination;
    this.copies = copies;
    this.#table = new KeeperTable(copies, rememberedMax);
  }

  /** Fewer than `copies` only where there are fewer members. */
  of(path: string): readonly Member[] {
    const slot = this.#slotOf(path);
    const keepers: Member[] = [];
    for (let copy = 0; copy < this.copies; copy += 1) {
      const position = this.#table.keeper(slot, copy);
      if (position !== noKeeper) keepers.push(this.#live[position] as Member);
    }
    return keepers;
  }

  isKeptBy(path: string, replicaId: string): boolean {
    const slot = this.#slotOf(path);
    const position = this.#positions.get(replicaId);
    if (position === undefined) return false;
    for (let copy = 0; copy < this.copies; copy += 1) {
      if (this.#table.keeper(slot, copy) === position) return true;
    }
    return false;
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

  #slotOf(path: string): number {
    const { live } = this.#coordination;
    if (live !== this.#live) {
      this.#live = live;
      this.#table.clear();
      this.#positions.clear();
      for (const [position, { replicaId }] of live.entries()) this.#positions.set(replicaId, position);
    }
    return this.#table.slotOf(path, this.#rank);
  }

  readonly #rank = (path: string): readonly number[] => {
    this.stats.ranked += 1;
    const ranked = this.#coordination.ranked(path, this.copies);
    return ranked.map(({ replicaId }) => this.#positions.get(replicaId) as number);
  };
}
