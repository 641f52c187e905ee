/**
 * Anti-entropy repairs what announcements miss. After a start, after a change of members, and from time to time, a
 * round surveys this disk, compares it with those of all peers (disk-comparison.ts), and pulls the chunks that this
 * replica should hold but does not. It only uses free room. If it evicted chunks, then on disks that are too small for
 * all copies each round would evict one half of the chunks to pull the other, for ever.
 *
 * The survey also marks the extra copies on this disk. No round deletes anything, so no round has to ask a peer whether
 * it holds its copy.
 */
import { type Clock, type Timer, unlessAborted } from "../../base/clock.ts";
import { LogPace } from "../../base/log-pace.ts";
import type { Logger } from "../../base/logger.ts";
import { OrcaError } from "../../base/orca-error.ts";
import type { Coordination } from "../../membership/coordination.ts";
import type { Member } from "../../membership/member.ts";
import type { ChunkStore } from "../../store/chunk-store.ts";
import type { ListedStore } from "../../store/listed-store.ts";
import type { ChunkSurvey } from "./chunk-survey.ts";
import { type ComparisonSettings, comparisonDefaults, DiskComparison } from "./disk-comparison.ts";
import type { InventoryPeers } from "./inventory-peers.ts";
import type { Keepers } from "./keepers.ts";
import type { Puller } from "./puller.ts";
import type { RepairLog } from "./repair-log.ts";

export interface AntiEntropySettings extends ComparisonSettings {
  /** From a change of members to the round: a quick restart moves nothing, and the start of a cluster is one change. */
  readonly debounceMs: number;
  /** From round to round while nothing changes: finds chunks that were never announced. */
  readonly intervalMs: number;
  /** From a round that could not list a peer to the next one; doubles each time, up to the interval. */
  readonly retryInitialMs: number;
  /**
   * Extra copies that a peer held already in an earlier round are compared again in every so many rounds: finds those
   * that this replica lost since, where no other keeper has them.
   */
  readonly recheckRounds: number;
}

export interface AntiEntropyOptions {
  readonly inventoryPeers: InventoryPeers;
  readonly survey: ChunkSurvey;
  readonly keepers: Keepers;
  readonly coordination: Coordination;
  readonly store: ChunkStore & ListedStore;
  readonly puller: Pick<Puller, "enqueue" | "isPending" | "load" | "pendingBytes">;
  readonly repairs: Pick<RepairLog, "roundBegan" | "found" | "roundEnded">;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly settings?: Partial<AntiEntropySettings>;
}

const defaults: AntiEntropySettings = {
  ...comparisonDefaults,
  debounceMs: 10_000,
  intervalMs: 15 * 60_000,
  retryInitialMs: 30_000,
  recheckRounds: 16,
};

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
  readonly #comparison: DiskComparison;
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
    this.#comparison = new DiskComparison({ ...options, settings: this.#settings, stats: this.stats });
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
    this.#comparison.forget();
    this.#isStale = true;
    if (this.#running === undefined) this.#schedule(this.#settings.debounceMs);
  }

  /** A chunk on this disk was found damaged or missing. One round soon pulls all chunks that are lost until then. */
  chunkLost(): void {
    this.#comparison.forget();
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
      if (stats.rounds % this.#settings.recheckRounds === 0) this.#comparison.forget();
      const survey = await unlessAborted(this.#options.survey.take(), signal);
      stats.extraCopies = survey.extraCopies;
      for (const peer of this.#peers()) await this.#comparison.with(peer, survey, signal);
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

  #peers(): Member[] {
    const { coordination } = this.#options;
    return coordination.live.filter(({ replicaId }) => replicaId !== coordination.selfId);
  }

  #liveIds(): string {
    return this.#options.coordination.live.map(({ replicaId }) => replicaId).join("\n");
  }
}
