/**
 * Anti-entropy repairs what announcements miss. After a start, after a change of members, and from time to time, a
 * round lists the disks of all peers, page by page, and pulls the chunks that this replica should hold but does not. A
 * round is never urgent: it waits while the puller has enough to do, and it rests between pages. A page that fails is
 * asked for again, so the round continues where it stopped. It only uses free room. If it evicted chunks, then on disks
 * that are too small for all copies each round would evict one half of the chunks to pull the other, for ever.
 *
 * A round also marks the extra copies on this disk, those of chunks that other replicas keep, as the first to be
 * evicted (docs/decisions/0031). No round deletes anything, so no round has to ask a peer whether it holds its copy.
 */

import { type Clock, nextTurn, sleep, type Timer } from "../../base/clock.ts";
import { LogPace } from "../../base/log-pace.ts";
import type { Logger } from "../../base/logger.ts";
import { OrcaError } from "../../base/orca-error.ts";
import type { Coordination } from "../../membership/coordination.ts";
import type { Member } from "../../membership/member.ts";
import type { ChunkStore } from "../../store/chunk-store.ts";
import type { ListedStore } from "../../store/listed-store.ts";
import type { InventoryPage, InventoryPeers, InventoryRequest } from "./inventory-peers.ts";
import type { Keepers } from "./keepers.ts";
import type { Puller } from "./puller.ts";
import type { RepairLog } from "./repair-log.ts";

export interface AntiEntropySettings {
  /** From a change of members to the round: a quick restart moves nothing, and the start of a cluster is one change. */
  readonly debounceMs: number;
  /** From round to round while nothing changes: finds chunks that were never announced. */
  readonly intervalMs: number;
  /** From a round that could not list a peer to the next one; doubles each time, up to the interval. */
  readonly retryInitialMs: number;
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

export interface AntiEntropyOptions {
  readonly inventoryPeers: InventoryPeers;
  readonly keepers: Keepers;
  readonly coordination: Coordination;
  readonly store: ChunkStore & ListedStore;
  readonly puller: Pick<Puller, "enqueue" | "load" | "pendingBytes">;
  readonly repairs: Pick<RepairLog, "roundBegan" | "found" | "roundEnded">;
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

/** Paths whose keepers are ranked in one turn of the event loop: a few milliseconds. */
const pathsPerTurn = 512;

export class AntiEntropy {
  readonly stats = {
    /** Rounds that ended, and whether one is running (1). */
    rounds: 0,
    running: 0,
    /**
     * Of the last round: chunks on peers' disks in all, those compared, and those this replica should hold but does
     * not.
     */
    total: 0,
    compared: 0,
    missing: 0,
    /** The missing chunks that were not pulled because this disk has no free room for them. */
    unfit: 0,
    /** Peers whose disks were not listed to the end. */
    peersFailed: 0,
    /** Copies on this disk, as of the last round, of chunks that other replicas keep. */
    extraCopies: 0,
  };
  readonly #options: AntiEntropyOptions;
  readonly #pace: LogPace;
  readonly #settings: AntiEntropySettings;
  readonly #stopping = new AbortController();
  #timer: Timer | undefined;
  #running: Promise<void> | undefined;
  /** Rounds in a row that could not list a peer. */
  #retries = 0;
  /** Whether the live members have changed since the running round began. */
  #isStale = false;
  #members = "";
  /** When the next round begins. */
  #dueMs = 0;

  constructor(options: AntiEntropyOptions) {
    this.#options = options;
    this.#pace = new LogPace(options.clock);
    this.#settings = { ...defaults, ...options.settings };
  }

  /** Begins the first round one debounce from now. */
  start(): void {
    if (this.#stopping.signal.aborted) return;
    this.#members = this.#liveIds();
    this.#schedule(this.#settings.debounceMs);
  }

  /** To be called on every change of a member. It does nothing where the live members are the same as before. */
  membersChanged(): void {
    const members = this.#liveIds();
    if (this.#timer === undefined && this.#running === undefined) return;
    if (members === this.#members) return;
    this.#members = members;
    this.#isStale = true;
    if (this.#running === undefined) this.#schedule(this.#settings.debounceMs);
  }

  /** A chunk on this disk was found damaged or missing. One round soon pulls all chunks that are lost until then. */
  chunkLost(): void {
    const soonMs = this.#options.clock.monotonic() + this.#settings.retryInitialMs;
    if (this.#running !== undefined) this.#isStale = true;
    else if (this.#timer !== undefined && soonMs < this.#dueMs) this.#schedule(this.#settings.retryInitialMs);
  }

  async stop(): Promise<void> {
    this.#stopping.abort(
      new OrcaError("shutting_down", "fill", "Cannot continue the anti-entropy round: Orca is stopping"),
    );
    this.#timer?.cancel();
    this.#timer = undefined;
    await this.#running;
  }

  #schedule(delayMs: number): void {
    this.#timer?.cancel();
    this.#dueMs = this.#options.clock.monotonic() + delayMs;
    this.#timer = this.#options.clock.timer(delayMs, () => {
      this.#timer = undefined;
      this.#running = this.#round(this.#stopping.signal);
    });
  }

  async #round(signal: AbortSignal): Promise<void> {
    const { stats } = this;
    this.#isStale = false;
    this.#options.repairs.roundBegan();
    Object.assign(stats, { running: 1, total: 0, compared: 0, missing: 0, unfit: 0, peersFailed: 0 });
    try {
      await this.#markExtraCopies(signal);
      for (const peer of this.#peers()) await this.#compareWith(peer, signal);
      stats.rounds += 1;
      const { compared, missing, unfit, peersFailed, extraCopies } = stats;
      // A round follows each change of the members, so peers that come and go cause one after the other.
      const suppressed = this.#pace.take("round");
      const fields = { compared, missing, unfit, peersFailed, extraCopies, ...suppressed };
      if (suppressed)
        this.#options.logger.info(fields, "Compared this replica's disk with those of its peers");
    } catch (thrown) {
      if (!signal.aborted || thrown !== signal.reason) throw thrown;
    } finally {
      stats.running = 0;
      if (!signal.aborted) this.#options.repairs.roundEnded();
      this.#running = undefined;
    }
    if (!signal.aborted) this.#schedule(this.#untilNextMs());
  }

  #untilNextMs(): number {
    const { debounceMs, retryInitialMs, intervalMs } = this.#settings;
    if (this.#isStale) return debounceMs;
    if (this.stats.peersFailed === 0) {
      this.#retries = 0;
      return intervalMs;
    }
    this.#retries += 1;
    return Math.min(intervalMs, retryInitialMs * 2 ** (this.#retries - 1));
  }

  /**
   * Marks the extra copies, and removes the mark from chunks that this replica keeps again. A use removes a mark as
   * well, and a peer that pulls the chunk from here uses it, so each round marks all extra copies anew.
   */
  async #markExtraCopies(signal: AbortSignal): Promise<void> {
    const { store, keepers } = this.#options;
    let extraCopies = 0;
    for (let after: string | undefined = ""; after !== undefined; ) {
      const paths: readonly string[] = store.pathsAfter(after, pathsPerTurn);
      for (const path of paths) {
        const isExtra = !keepers.isKeptHere(path);
        if (isExtra) extraCopies += 1;
        store.evictFirst(path, isExtra);
      }
      after = paths.at(-1);
      await nextTurn();
      signal.throwIfAborted();
    }
    this.stats.extraCopies = extraCopies;
  }

  async #compareWith(peer: Member, signal: AbortSignal): Promise<void> {
    const { keepers, coordination, store, puller, repairs } = this.#options;
    const { pageChunks: chunksMax, restMs } = this.#settings;
    const keptBy = coordination.selfId;
    let isFirst = true;
    for (let after = ""; isFirst || after !== ""; ) {
      const page = await this.#page(peer, { after, chunksMax, keptBy }, signal);
      if (page === undefined) {
        this.stats.peersFailed += 1;
        return;
      }
      if (isFirst) this.stats.total += page.total;
      isFirst = false;
      this.stats.compared += page.passed;
      for (const key of page.chunks) {
        const isHeld = store.presence(key) === "held";
        if (isHeld || !keepers.isKeptHere(key.version.chunkPath(key.index))) continue;
        await this.#waitForPuller(signal);
        this.stats.missing += 1;
        const spareBytes = store.spareBytes - puller.pendingBytes;
        if (key.version.chunkLength(key.index) > spareBytes) {
          this.stats.unfit += 1;
          continue;
        }
        repairs.found();
        puller.enqueue(key, peer);
      }
      after = page.nextAfter;
      await sleep(this.#options.clock, restMs, signal);
    }
  }

  /** Undefined where the peer failed too often, or is not live any more. */
  async #page(
    peer: Member,
    request: InventoryRequest,
    signal: AbortSignal,
  ): Promise<InventoryPage | undefined> {
    const { inventoryPeers, clock, coordination } = this.#options;
    const { faultsMax, backoffInitialMs } = this.#settings;
    for (let faults = 0; faults < faultsMax; faults += 1) {
      if (faults > 0) await sleep(clock, backoffInitialMs * 2 ** (faults - 1), signal);
      signal.throwIfAborted();
      if (!coordination.live.some(({ replicaId }) => replicaId === peer.replicaId)) return undefined;
      try {
        const page = await unlessAborted(inventoryPeers.list(peer, request), signal);
        if (page.nextAfter === "" || page.nextAfter !== request.after) return page;
        // A peer that answers like this would send the same page for ever.
        throw new OrcaError(
          "peer_unavailable",
          "mesh",
          `Cannot list the chunks of "${peer.replicaId}": it sent the same page again`,
        );
      } catch (thrown) {
        signal.throwIfAborted();
        OrcaError.from(thrown, "internal", "mesh", `Cannot list the chunks of "${peer.replicaId}"`);
      }
    }
    return undefined;
  }

  async #waitForPuller(signal: AbortSignal): Promise<void> {
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

/** The outcome of `promise`, or the signal's reason as soon as it aborts: for calls that a signal cannot end. */
async function unlessAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  const { promise: aborted, reject } = Promise.withResolvers<never>();
  const onAbort = (): void => reject(signal.reason);
  if (signal.aborted) onAbort();
  else signal.addEventListener("abort", onAbort, { once: true });
  try {
    return await Promise.race([promise, aborted]);
  } finally {
    signal.removeEventListener("abort", onAbort);
  }
}
