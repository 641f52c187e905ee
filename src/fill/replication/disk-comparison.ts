/**
 * Compares this replica's disk with that of one peer, and queues the chunks that are missing here. The peer leaves out
 * the shelves whose digests are equal and sends the paths of the others, page by page. Only the chunks that are missing,
 * and for which there is room, are asked for by name. So a comparison costs what differs, and not what is held.
 *
 * It is never urgent: it waits while the puller has enough to do, and it rests between pages. A page that fails is asked
 * for again, so the comparison continues where it stopped.
 *
 * The digests of extra copies cannot be equal on both sides: this replica holds such chunks as a keeper. So it remembers
 * the digests of a peer whose extra copies it has found to be held here, and the peer leaves them out until they change.
 */
import { type Clock, sleep, unlessAborted } from "../../base/clock.ts";
import { OrcaError } from "../../base/orca-error.ts";
import type { Coordination } from "../../membership/coordination.ts";
import type { Member } from "../../membership/member.ts";
import type { ChunkKey, ChunkStore } from "../../store/chunk-store.ts";
import type { ListedStore } from "../../store/listed-store.ts";
import type { Survey } from "./chunk-survey.ts";
import { type ComparePage, type InventoryPeers, namedPathsMax } from "./inventory-peers.ts";
import type { Keepers } from "./keepers.ts";
import type { Puller } from "./puller.ts";
import type { RepairLog } from "./repair-log.ts";
import { type ShelfDigests, shelfOf, shelfPaths } from "./shelf.ts";

export interface ComparisonSettings {
  /** Between two pages, and between two looks at the puller's queue. */
  readonly restMs: number;
  readonly pageChunks: number;
  /** The round waits while the puller's queue is fuller than this, 0 to 1. */
  readonly loadMax: number;
  /** How often in a row a page of a peer may fail. */
  readonly faultsMax: number;
  /** Before a page is asked for again; doubles each time. */
  readonly backoffInitialMs: number;
}

export const comparisonDefaults: ComparisonSettings = {
  restMs: 50,
  pageChunks: 1024,
  loadMax: 0.8,
  faultsMax: 3,
  backoffInitialMs: 500,
};

interface ComparisonStats {
  total: number;
  compared: number;
  missing: number;
  unfit: number;
  peersFailed: number;
}

export interface DiskComparisonOptions {
  readonly inventoryPeers: InventoryPeers;
  readonly keepers: Keepers;
  readonly coordination: Coordination;
  readonly store: ChunkStore & ListedStore;
  readonly puller: Pick<Puller, "enqueue" | "isPending" | "load" | "pendingBytes">;
  readonly repairs: Pick<RepairLog, "found">;
  readonly clock: Clock;
  readonly settings: ComparisonSettings;
  readonly stats: ComparisonStats;
}

export class DiskComparison {
  readonly #options: DiskComparisonOptions;
  /** By peer, the extra digests of which nothing is missing here. At most one for each live member, of 2 KiB. */
  readonly #extraHeld = new Map<string, ShelfDigests>();
  /** Chunks that a peer named and this disk lacks, those on their way from another peer included. */
  #lacking = 0;

  constructor(options: DiskComparisonOptions) {
    this.#options = options;
  }

  /** Compares the extra copies of all peers again, because members changed or a chunk was lost. */
  forget(): void {
    this.#extraHeld.clear();
  }

  async with(peer: Member, survey: Survey, signal: AbortSignal): Promise<void> {
    const { coordination, stats, settings, clock } = this.#options;
    const { replicaId } = peer;
    const lackingBefore = this.#lacking;
    const request = {
      keptBy: coordination.selfId,
      chunksMax: settings.pageChunks,
      common: survey.digestsFor(replicaId).common,
      extra: this.#extraHeld.get(replicaId),
    };
    let extra: ShelfDigests | undefined;
    for (let after: string | undefined; after !== ""; ) {
      const page: ComparePage | undefined = await this.#page(
        peer,
        { ...request, after: after ?? "" },
        signal,
      );
      if (page === undefined || !(await this.#pull(peer, page, survey, signal))) {
        stats.peersFailed += 1;
        return;
      }
      if (after === undefined) {
        stats.total += page.total;
        extra = page.extra;
      } else if (page.extra === undefined || extra?.isEqual(page.extra) === false) {
        extra = undefined;
      }
      stats.compared += page.passed;
      after = page.nextAfter;
      await sleep(clock, settings.restMs, signal);
    }
    if (extra && this.#lacking === lackingBefore) this.#extraHeld.set(replicaId, extra);
    else this.#extraHeld.delete(replicaId);
  }

  /** Undefined where the peer failed too often, or is not live any more. */
  #page(
    peer: Member,
    request: Parameters<InventoryPeers["compare"]>[1],
    signal: AbortSignal,
  ): Promise<ComparePage | undefined> {
    const { inventoryPeers } = this.#options;
    return this.#ask(peer, signal, async () => {
      const page = await inventoryPeers.compare(peer, request);
      if (page.nextAfter === "" || page.nextAfter !== request.after) return page;
      // A peer that answers like this would send the same page for ever.
      throw new OrcaError(
        "peer_unavailable",
        "mesh",
        `Cannot compare disks with "${peer.replicaId}": it sent the same page again`,
      );
    });
  }

  /** Queues what a page names and this disk lacks. False where the peer failed too often. */
  async #pull(peer: Member, page: ComparePage, survey: Survey, signal: AbortSignal): Promise<boolean> {
    const { inventoryPeers, keepers, stats } = this.#options;
    if (page.chunks) {
      // They are in another order than that of shelves, so to list the shelf of each would walk over this disk each time.
      const kept = page.chunks.filter(({ version, index }) => keepers.isKeptHere(version.chunkPath(index)));
      await this.#enqueue(peer, kept, signal);
      return true;
    }
    const missing = this.#missing(page.paths, survey);
    for (let from = 0; from < missing.length; from += namedPathsMax) {
      const paths = missing.slice(from, from + namedPathsMax);
      if (this.#spareBytes() <= 0) {
        this.#lacking += paths.length;
        stats.missing += paths.length;
        stats.unfit += paths.length;
        continue;
      }
      const chunks = await this.#ask(peer, signal, () => inventoryPeers.nameChunks(peer, paths));
      if (chunks === undefined) return false;
      await this.#enqueue(peer, chunks, signal);
    }
    return true;
  }

  /** The paths of those that this replica keeps, too, and that are not on its disk. They are in the order of shelves. */
  #missing(paths: readonly string[], survey: Survey): string[] {
    const { keepers, store } = this.#options;
    const missing: string[] = [];
    let shelf = -1;
    let held = new Set<string>();
    for (const path of paths) {
      if (shelfOf(path) !== shelf) {
        shelf = shelfOf(path);
        held = new Set(shelfPaths(store, shelf, { expected: survey.counts[shelf] }));
      }
      if (!held.has(path) && keepers.isKeptHere(path)) missing.push(path);
    }
    return missing;
  }

  async #enqueue(peer: Member, chunks: readonly ChunkKey[], signal: AbortSignal): Promise<void> {
    const { store, puller, repairs, stats } = this.#options;
    for (const key of chunks) {
      if (store.presence(key) === "held") continue;
      await this.#waitForPuller(signal);
      this.#lacking += 1;
      // Another keeper named it before. Counted twice, it would look as if half of the repair were still to come.
      if (puller.isPending(key)) continue;
      stats.missing += 1;
      if (key.version.chunkLength(key.index) > this.#spareBytes()) {
        stats.unfit += 1;
        continue;
      }
      repairs.found();
      puller.enqueue(key, peer);
    }
  }

  #spareBytes(): number {
    const { store, puller } = this.#options;
    return store.spareBytes - puller.pendingBytes;
  }

  /** The peer's answer, asked for again after each fault. Undefined where it failed too often, or is not live any more. */
  async #ask<Answer>(
    peer: Member,
    signal: AbortSignal,
    ask: () => Promise<Answer>,
  ): Promise<Answer | undefined> {
    const { clock, coordination, settings } = this.#options;
    const { faultsMax, backoffInitialMs } = settings;
    for (let faults = 0; faults < faultsMax; faults += 1) {
      if (faults > 0) await sleep(clock, backoffInitialMs * 2 ** (faults - 1), signal);
      signal.throwIfAborted();
      if (!coordination.live.some(({ replicaId }) => replicaId === peer.replicaId)) return undefined;
      try {
        return await unlessAborted(ask(), signal);
      } catch (thrown) {
        signal.throwIfAborted();
        OrcaError.from(thrown, "internal", "mesh", `Cannot compare disks with "${peer.replicaId}"`);
      }
    }
    return undefined;
  }

  async #waitForPuller(signal: AbortSignal): Promise<void> {
    const { puller, clock, settings } = this.#options;
    while (puller.load > settings.loadMax) await sleep(clock, settings.restMs, signal);
  }
}
