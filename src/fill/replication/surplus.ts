/**
 * Lets go of copies that are for others to keep, once those others say that they hold theirs. A copy too many costs room
 * and one too few an origin GET, so whatever is in doubt stays: a keeper that is silent, one that lacks its copy, one
 * that counts on this one's.
 */
import { OrcaError } from "../../base/orca-error.ts";
import type { Member } from "../../membership/member.ts";
import type { ListedStore } from "../../store/listed-store.ts";
import { nextTurn } from "../next-turn.ts";
import { unlessAborted } from "../unless-aborted.ts";
import { type InventoryPeers, listedPathsMax } from "./inventory-peers.ts";
import type { Keepers } from "./keepers.ts";

export interface SurplusOptions {
  readonly lists: InventoryPeers;
  readonly keepers: Keepers;
  readonly store: ListedStore;
  /** Whether another replica counts on this one's copy. */
  readonly isPledged: (path: string) => boolean;
}

export class Surplus {
  readonly #options: SurplusOptions;

  constructor(options: SurplusOptions) {
    this.#options = options;
  }

  /** One pass over the disk. @throws the signal's reason. */
  async drop(signal: AbortSignal): Promise<{ readonly dropped: number; readonly kept: number }> {
    const { store, keepers } = this.#options;
    let dropped = 0;
    let kept = 0;
    for (let after: string | undefined = ""; after !== undefined; ) {
      const paths: readonly string[] = store.pathsAfter(after, listedPathsMax);
      after = paths.at(-1);
      const surplus = paths.filter((path) => !keepers.isKeptHere(path));
      if (surplus.length > 0) {
        const droppedHere = await this.#dropConfirmed(surplus, signal);
        dropped += droppedHere;
        kept += surplus.length - droppedHere;
      }
      await nextTurn();
      signal.throwIfAborted();
    }
    return { dropped, kept };
  }

  async #dropConfirmed(paths: readonly string[], signal: AbortSignal): Promise<number> {
    const { store, keepers, isPledged } = this.#options;
    const pathsByKeeper = new Map<Member, string[]>();
    for (const path of paths) {
      for (const keeper of keepers.of(path)) {
        const theirs = pathsByKeeper.get(keeper);
        if (theirs) theirs.push(path);
        else pathsByKeeper.set(keeper, [path]);
      }
    }
    // All at once: each may take as long as a peer may be silent, and the first one's pledge must not end before the last
    // one has answered.
    const asked = [...pathsByKeeper].map(
      async ([keeper, theirs]) => [keeper.replicaId, await this.#heldBy(keeper, theirs, signal)] as const,
    );
    const heldBy = new Map(await Promise.all(asked));
    let dropped = 0;
    for (const path of paths) {
      // Members may have come or gone while they were asked, so keepers are looked up anew. Between this look and the
      // letting go nothing is waited for.
      const confirmed = keepers.of(path).filter(({ replicaId }) => heldBy.get(replicaId)?.has(path));
      if (keepers.isKeptHere(path) || isPledged(path) || confirmed.length < keepers.copies) continue;
      await store.discard(path);
      dropped += 1;
    }
    return dropped;
  }

  /** None where the keeper does not answer. */
  async #heldBy(keeper: Member, paths: readonly string[], signal: AbortSignal): Promise<ReadonlySet<string>> {
    try {
      const request = { after: "", chunksMax: 0, keptBy: "", paths };
      const page = await unlessAborted(this.#options.lists.list(keeper, request), signal);
      return new Set(page.chunks.map(({ version, index }) => version.chunkPath(index)));
    } catch (thrown) {
      signal.throwIfAborted();
      OrcaError.from(thrown, "internal", "mesh", `Cannot ask "${keeper.replicaId}" for copies`);
      return new Set();
    }
  }
}
