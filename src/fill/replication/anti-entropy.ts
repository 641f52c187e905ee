/**
 * The walk that makes good what announcements do not: after a start, a change of members, and from time to time, it goes
 * through the disks of all peers, page by page, and has what this replica should hold and does not pulled. It is
 * never in a hurry: it stands back while the puller has enough to do, rests between pages, and a peer that does not
 * answer is gone on with at the page where it stopped. It only uses room that is free: where disks are too small for all
 * copies, walks would else push out one half for the other for ever.
 *
 * Then surplus goes: chunks on this disk that are for others to keep, once every one of those holds a copy by its own word
 * and has pledged to keep it (chunk-lister.ts). What is not confirmed stays and is asked about again later.
 */
import { type Clock, sleep, type Timer } from "../../base/clock.ts";
import type { Logger } from "../../base/logger.ts";
import { OrcaError } from "../../base/orca-error.ts";
import type { Coordination } from "../../membership/coordination.ts";
import type { Member } from "../../membership/member.ts";
import type { ChunkStore } from "../../store/chunk-store.ts";
import type { ListedStore } from "../../store/listed-store.ts";
import { unlessAborted } from "../unless-aborted.ts";
import type { InventoryPage, InventoryPeers, InventoryRequest } from "./inventory-peers.ts";
import type { Keepers } from "./keepers.ts";
import type { Puller } from "./puller.ts";
import { Surplus } from "./surplus.ts";

export interface AntiEntropySettings {
  /** From a change of members to the walk: a quick restart moves nothing, and a cluster that starts is one change. */
  readonly debounceMs: number;
  /** From walk to walk where nothing changes: finds what was never announced. */
  readonly intervalMs: number;
  /** From a walk that has left something undone to the next; twice as long each time, up to the interval. */
  readonly retryInitialMs: number;
  /** Between two pages, and between two looks at the puller's queue. */
  readonly restMs: number;
  readonly pageChunks: number;
  /** The walk stands back while the puller's queue is fuller than this. */
  readonly loadMax: number;
  /** Pages in a row that a peer may fail. */
  readonly faultsMax: number;
  /** Before the page is asked for again; twice as long each time. */
  readonly backoffInitialMs: number;
}

export interface AntiEntropyOptions {
  readonly lists: InventoryPeers;
  readonly keepers: Keepers;
  readonly coordination: Coordination;
  readonly store: ChunkStore & ListedStore;
  /** Whether another replica counts on this one's copy. */
  readonly isPledged: (path: string) => boolean;
  readonly puller: Pick<Puller, "enqueue" | "load" | "owedBytes">;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly settings?: Partial<AntiEntropySettings>;
}

const defaults: AntiEntropySettings = {
  debounceMs: 10_000,
  intervalMs: 15 * 60_000,
  retryInitialMs: 30_000,
  restMs: 50,
  pageChunks: 128,
  loadMax: 0.8,
  faultsMax: 3,
  backoffInitialMs: 500,
};

export class AntiEntropy {
  readonly stats = {
    /** Walks ended, and whether one is on its way (1). */
    walks: 0,
    walking: 0,
    /** Of the last walk: chunks on peers' disks that were passed, of so many, and those this replica lacked. */
    walked: 0,
    total: 0,
    missing: 0,
    /** Of those missing, the ones that are left where they are, because something else would have to go for them. */
    unfit: 0,
    /** Peers that were not walked to the end. */
    peersFailed: 0,
    /** Of all walks: surplus copies let go of, and those left in place in the last one because somebody lacks his. */
    surplusDropped: 0,
    surplusKept: 0,
  };
  readonly #options: AntiEntropyOptions;
  readonly #settings: AntiEntropySettings;
  readonly #surplus: Surplus;
  readonly #stopping = new AbortController();
  #timer: Timer | undefined;
  #running: Promise<void> | undefined;
  /** Walks in a row that have left something undone. */
  #retries = 0;
  /** Members came or went since the walk on its way began. */
  #isStale = false;
  #members = "";
  /** When the next walk begins. */
  #dueMs = 0;

  constructor(options: AntiEntropyOptions) {
    this.#options = options;
    this.#settings = { ...defaults, ...options.settings };
    this.#surplus = new Surplus(options);
  }

  /** The first walk begins one debounce from now. */
  start(): void {
    if (this.#stopping.signal.aborted) return;
    this.#members = this.#liveIds();
    this.#schedule(this.#settings.debounceMs);
  }

  /** To be called on every change of a member; those that leave the live ones the same are none. */
  membersChanged(): void {
    const members = this.#liveIds();
    if (this.#timer === undefined && this.#running === undefined) return;
    if (members === this.#members) return;
    this.#members = members;
    this.#isStale = true;
    if (this.#running === undefined) this.#schedule(this.#settings.debounceMs);
  }

  /** A chunk that was held here is damaged or gone: a walk finds what is lost until then, and has it brought back. */
  chunkLost(): void {
    const soonMs = this.#options.clock.monotonic() + this.#settings.retryInitialMs;
    if (this.#running !== undefined) this.#isStale = true;
    else if (this.#timer !== undefined && soonMs < this.#dueMs) this.#schedule(this.#settings.retryInitialMs);
  }

  async stop(): Promise<void> {
    this.#stopping.abort(new OrcaError("shutting_down", "fill", "Cannot walk on: Orca is stopping"));
    this.#timer?.cancel();
    this.#timer = undefined;
    await this.#running;
  }

  #schedule(delayMs: number): void {
    this.#timer?.cancel();
    this.#dueMs = this.#options.clock.monotonic() + delayMs;
    this.#timer = this.#options.clock.timer(delayMs, () => {
      this.#timer = undefined;
      this.#running = this.#walk(this.#stopping.signal);
    });
  }

  async #walk(signal: AbortSignal): Promise<void> {
    const { stats } = this;
    this.#isStale = false;
    Object.assign(stats, {
      walking: 1,
      walked: 0,
      total: 0,
      missing: 0,
      unfit: 0,
      peersFailed: 0,
      surplusKept: 0,
    });
    try {
      for (const peer of this.#peers()) await this.#walkPeer(peer, signal);
      const { dropped, kept } = await this.#surplus.drop(signal);
      stats.surplusDropped += dropped;
      stats.surplusKept = kept;
      stats.walks += 1;
      const { walked, missing, peersFailed } = stats;
      this.#options.logger.info(
        { walked, missing, peersFailed, surplusDropped: dropped, surplusKept: kept },
        "Compared this replica's disk with those of its peers",
      );
    } catch (thrown) {
      if (!signal.aborted || thrown !== signal.reason) throw thrown;
    } finally {
      stats.walking = 0;
      this.#running = undefined;
    }
    if (!signal.aborted) this.#schedule(this.#untilNextMs());
  }

  #untilNextMs(): number {
    const { debounceMs, retryInitialMs, intervalMs } = this.#settings;
    if (this.#isStale) return debounceMs;
    const isUndone = this.stats.surplusKept > 0 || this.stats.peersFailed > 0;
    this.#retries = isUndone ? this.#retries + 1 : 0;
    return isUndone ? Math.min(intervalMs, retryInitialMs * 2 ** (this.#retries - 1)) : intervalMs;
  }

  async #walkPeer(peer: Member, signal: AbortSignal): Promise<void> {
    const { keepers, coordination, store, puller } = this.#options;
    const { pageChunks: chunksMax, restMs } = this.#settings;
    const keptBy = coordination.selfId;
    let isFirst = true;
    for (let after = ""; isFirst || after !== ""; ) {
      const page = await this.#page(peer, { after, chunksMax, keptBy, paths: [] }, signal);
      if (page === undefined) {
        this.stats.peersFailed += 1;
        return;
      }
      if (isFirst) this.stats.total += page.total;
      isFirst = false;
      this.stats.walked += page.passed;
      for (const ref of page.chunks) {
        if (store.presence(ref) === "held" || !keepers.isKeptHere(ref.version.chunkPath(ref.index))) continue;
        await this.#standBack(signal);
        this.stats.missing += 1;
        const spareBytes = store.spareBytes - puller.owedBytes;
        if (ref.version.chunkLength(ref.index) <= spareBytes) puller.enqueue(ref, peer);
        else this.stats.unfit += 1;
      }
      after = page.nextAfter;
      await sleep(this.#options.clock, restMs, signal);
    }
  }

  /** Undefined where the peer has failed too often, or has left. */
  async #page(
    peer: Member,
    request: InventoryRequest,
    signal: AbortSignal,
  ): Promise<InventoryPage | undefined> {
    const { lists, clock, coordination } = this.#options;
    const { faultsMax, backoffInitialMs } = this.#settings;
    for (let faults = 0; faults < faultsMax; faults += 1) {
      if (faults > 0) await sleep(clock, backoffInitialMs * 2 ** (faults - 1), signal);
      signal.throwIfAborted();
      if (!coordination.live.some(({ replicaId }) => replicaId === peer.replicaId)) return undefined;
      try {
        const page = await unlessAborted(lists.list(peer, request), signal);
        if (page.nextAfter === "" || page.nextAfter !== request.after) return page;
        // Another page like this would come for ever.
        throw new OrcaError(
          "peer_unavailable",
          "mesh",
          `Cannot go on: "${peer.replicaId}" answers the same page again`,
        );
      } catch (thrown) {
        signal.throwIfAborted();
        OrcaError.from(thrown, "internal", "mesh", `Cannot list the chunks of "${peer.replicaId}"`);
      }
    }
    return undefined;
  }

  async #standBack(signal: AbortSignal): Promise<void> {
    const { puller, clock } = this.#options;
    while (puller.load > this.#settings.loadMax) await sleep(clock, this.#settings.restMs, signal);
  }

  #peers(): Member[] {
    const { coordination } = this.#options;
    return coordination.live.filter(({ replicaId }) => replicaId !== coordination.selfId);
  }

  #liveIds(): string {
    return this.#options.coordination.live.map(({ replicaId }) => replicaId).join("\n");
  }
}
