/**
 * Pulls copies of chunks from the replicas that hold them to this replica's disk, not through the memory tier and range
 * by range. It is the least urgent work of a replica: it takes memory only where nothing else waits for any, a few MiB
 * at a time. A chunk that does not fit into the queue is dropped, because the next anti-entropy round finds it again.
 *
 * Invariants:
 * 1. A chunk is queued or being pulled at most once, and at most `workers` are being pulled.
 * 2. A pull holds memory only from when it asks a peer for a range until the range is written; none while it sleeps.
 * 3. However a pull ends, its stage is committed or discarded.
 */

import type { Clock } from "../../base/clock.ts";
import { LogPace } from "../../base/log-pace.ts";
import type { Logger } from "../../base/logger.ts";
import { LruMap } from "../../base/lru-map.ts";
import type { MemoryBudget } from "../../base/memory-budget.ts";
import { OrcaError } from "../../base/orca-error.ts";
import type { Member } from "../../membership/member.ts";
import type { ChunkKey } from "../../store/chunk-store.ts";
import type { StagingStore } from "../../store/disk/staged-chunk.ts";
import type { StallWatch } from "../../trace/stalls/stall-watch.ts";
import type { ChunkPeers } from "../chunk-peers.ts";
import type { Keepers } from "./keepers.ts";
import { Pull, type PullEnd, type PullSettings, type PullStats, pullDefaults } from "./pull.ts";

export interface PullerSettings extends PullSettings {
  /** Chunks that wait at most; any further one is dropped. */
  readonly queueMax: number;
  readonly workers: number;
}

export interface PullerOptions {
  readonly store: StagingStore;
  readonly keepers: Keepers;
  readonly peers: ChunkPeers;
  readonly budget: MemoryBudget;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Told of ranges that do not come. */
  readonly stalls?: StallWatch | undefined;
  readonly settings?: Partial<PullerSettings>;
}

const defaults: PullerSettings = { ...pullDefaults, queueMax: 1024, workers: 4 };

/** Lines in a minute about copies that did not match their SHA-256: a peer with a bad disk sends only such. */
const mismatchLinesMax = 10;

interface Wanted {
  readonly key: ChunkKey;
  /** A replica that is known to hold the chunk. */
  readonly holder: Member | undefined;
}

export class Puller {
  readonly stats: PullStats & { queued: number; dropped: number } & Record<PullEnd, number> = {
    queued: 0,
    /** Not queued, because the queue was full. */
    dropped: 0,
    pulled: 0,
    moot: 0,
    missing: 0,
    not_stored: 0,
    failed: 0,
    pulledBytes: 0,
    resumed: 0,
    restarts: 0,
    retries: 0,
    mismatches: 0,
    unverified: 0,
    yields: 0,
  };
  readonly #options: PullerOptions;
  readonly #settings: PullerSettings;
  /** By path, in the order in which they were queued. */
  readonly #queue = new LruMap<string, Wanted>();
  readonly #running = new Map<string, Promise<void>>();
  readonly #stopping = new AbortController();
  readonly #pace: LogPace;
  /** Called when a pull has ended. Set by the owner. */
  onPullEnded: () => void = () => {};
  #pendingBytes = 0;

  constructor(options: PullerOptions) {
    this.#options = options;
    this.#pace = new LogPace(options.clock, mismatchLinesMax);
    this.#settings = { ...defaults, ...options.settings };
  }

  get waiting(): number {
    return this.#queue.size;
  }

  get running(): number {
    return this.#running.size;
  }

  /** Bytes of the chunks that wait or are being pulled: they will need room on disk. */
  get pendingBytes(): number {
    return this.#pendingBytes;
  }

  /** How full the queue is, 0 to 1. */
  get load(): number {
    return this.#queue.size / this.#settings.queueMax;
  }

  /** Whether a chunk waits or is being pulled. */
  isPending(key: ChunkKey): boolean {
    const path = key.version.chunkPath(key.index);
    return this.#queue.has(path) || this.#running.has(path);
  }

  /** Queues a chunk that this replica should hold and `holder` is known to hold. False where the queue is full. */
  enqueue(key: ChunkKey, holder?: Member): boolean {
    if (this.isPending(key)) return true;
    if (this.#queue.size >= this.#settings.queueMax || this.#stopping.signal.aborted) {
      this.stats.dropped += 1;
      return false;
    }
    this.stats.queued += 1;
    this.#pendingBytes += key.version.chunkLength(key.index);
    this.#queue.set(key.version.chunkPath(key.index), { key, holder });
    this.#startNext();
    return true;
  }

  /** Ends all pulls. Resolves when none is running and none waits. */
  async stop(): Promise<void> {
    this.#stopping.abort(new OrcaError("shutting_down", "fill", "Cannot pull a chunk: Orca is stopping"));
    for (const { key } of this.#queue.values()) this.#pendingBytes -= key.version.chunkLength(key.index);
    this.#queue.clear();
    await Promise.all(this.#running.values());
  }

  #startNext(): void {
    for (let next = this.#queue.oldest; next !== undefined; next = this.#queue.oldest) {
      if (this.#running.size >= this.#settings.workers) return;
      const { key: path, value: wanted } = next;
      this.#queue.delete(path);
      const run = this.#run(wanted).finally(() => {
        this.#running.delete(path);
        this.#pendingBytes -= wanted.key.version.chunkLength(wanted.key.index);
        this.#startNext();
        if (!this.#stopping.signal.aborted) this.onPullEnded();
      });
      this.#running.set(path, run);
    }
  }

  async #run({ key, holder }: Wanted): Promise<void> {
    const { signal } = this.#stopping;
    const pull = new Pull({
      ...this.#options,
      pace: this.#pace,
      settings: this.#settings,
      stats: this.stats,
      key,
      holder,
    });
    try {
      this.stats[await pull.run(signal)] += 1;
    } catch (thrown) {
      if (!signal.aborted || thrown !== signal.reason) throw thrown;
    }
  }
}
