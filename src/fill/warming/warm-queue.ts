/**
 * Objects that clients want warmed: a HEAD of the first byte with `x-orca-warm` (edge/headers/warm-header.ts). The replica
 * that was asked leads the work, one object after the other, and nobody waits for its end. It ranks below clients, as
 * every warm-up.
 *
 * Invariants:
 * 1. A version waits or runs at most once, and at most {@link waitingMax} wait.
 * 2. At most {@link chunksPerReplica} chunks a replica are filled at once.
 */
import type { Clock } from "../../base/clock.ts";
import { LogPace } from "../../base/log-pace.ts";
import type { Logger } from "../../base/logger.ts";
import type { ObjectVersion } from "../../chunk/object-version.ts";
import type { ClusterWarmer } from "./cluster-warmer.ts";
import { TaskPool } from "./task-pool.ts";

export interface WarmQueueOptions {
  readonly warmer: ClusterWarmer;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** Each holds a version, about 2 KiB with a long key. */
const waitingMax = 1000;
const chunksPerReplica = 2;

export class WarmQueue {
  /** Objects: all chunks held in the end, some not, or not taken for lack of room in the queue. */
  readonly stats = { complete: 0, incomplete: 0, full: 0 };
  readonly #options: WarmQueueOptions;
  readonly #pace: LogPace;
  /** By hash; the first one runs. */
  readonly #versions = new Map<string, ObjectVersion>();
  readonly #stopping = new AbortController();
  #running: Promise<void> | undefined;

  constructor(options: WarmQueueOptions) {
    this.#options = options;
    this.#pace = new LogPace(options.clock);
  }

  get waiting(): number {
    return this.#versions.size;
  }

  /** `full`: the object is not taken. */
  add(version: ObjectVersion): "queued" | "full" {
    if (this.#versions.has(version.hash)) return "queued";
    if (this.#versions.size >= waitingMax || this.#stopping.signal.aborted) {
      this.stats.full += 1;
      return "full";
    }
    this.#versions.set(version.hash, version);
    this.#running ??= this.#start();
    return "queued";
  }

  /** Ends the work. Resolves when nothing runs. */
  async stop(): Promise<void> {
    this.#stopping.abort(new Error("Orca is stopping"));
    this.#versions.clear();
    await this.#running;
  }

  /** A version may be added after the loop has seen the last one, and before that is known here. */
  async #start(): Promise<void> {
    while (this.#versions.size > 0) await this.#run();
    this.#running = undefined;
  }

  async #run(): Promise<void> {
    for (const [hash, version] of this.#versions) {
      const reason = await this.#fill(version);
      if (this.#stopping.signal.aborted) return this.#versions.clear();
      this.#versions.delete(hash);
      this.stats[reason === undefined ? "complete" : "incomplete"] += 1;
      const suppressed = reason === undefined ? undefined : this.#pace.take("incomplete");
      const { bucket, objectKey } = version;
      const fields = { bucket, objectKey, reason, ...suppressed };
      if (suppressed)
        this.#options.logger.info(fields, "Cannot warm all of an object that a client asked for");
    }
  }

  /** Why a chunk is not held in the end. */
  async #fill(version: ObjectVersion): Promise<string | undefined> {
    const { warmer } = this.#options;
    const { signal } = this.#stopping;
    const found: { failure?: string | undefined; isOutdated: boolean } = { isOutdated: false };
    const chunks = new TaskPool(() => chunksPerReplica * warmer.members.length);
    try {
      // The origin has no chunk of an outdated version: each further one would cost a GET for nothing.
      for (let index = 0; index < version.chunkCount && !found.isOutdated; index += 1) {
        await chunks.start(async () => {
          if (found.isOutdated) return;
          const warmed = await warmer.fill({ version, index }, undefined, signal);
          found.failure ??= warmed.reason;
          found.isOutdated ||= warmed.isOutdated;
        });
      }
      await chunks.ended();
    } catch (thrown) {
      if (!signal.aborted) throw thrown;
    }
    return found.failure;
  }
}
