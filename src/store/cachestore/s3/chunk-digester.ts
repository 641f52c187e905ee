/**
 * Hashes chunks off the event loop, in a thread that shares their memory. A chunk that also goes to the disk tier is
 * hashed twice, because that tier hashes as it writes. If both used one result, one of them would wait for the other.
 *
 * Invariants:
 * 1. The thread answers in the order of the requests; #pending has that order.
 * 2. The memory of a chunk is in use until its promise settles, and no longer, even if the thread dies.
 */

import type { Worker } from "node:worker_threads";
import { assert } from "../../../base/assert.ts";
import type { Clock } from "../../../base/clock.ts";
import { LogPace } from "../../../base/log-pace.ts";
import type { Logger } from "../../../base/logger.ts";
import { OrcaError } from "../../../base/orca-error.ts";
import type { ChunkBytes } from "../../../chunk/chunk-bytes.ts";
import { ThreadStarter } from "../../thread-starter.ts";
import type { ChunkDigest } from "./chunk-digest.ts";

export class ChunkDigester {
  readonly #logger: Logger;
  readonly #pace: LogPace;
  readonly #starter: ThreadStarter;
  readonly #threadModule: URL;
  #pending: PromiseWithResolvers<ChunkDigest>[] = [];
  #thread: Worker | undefined;

  /** `threadModule`: the module that the thread runs; for tests. */
  constructor(
    clock: Clock,
    logger: Logger,
    threadModule = new URL("./chunk-digest-thread.ts", import.meta.url),
  ) {
    this.#logger = logger;
    this.#pace = new LogPace(clock);
    const message =
      "Cannot start the thread that hashes chunks; no chunk is put into the cachestore until it starts";
    this.#starter = new ThreadStarter(clock, logger, message);
    this.#threadModule = threadModule;
  }

  /**
   * Borrows `chunk` until the promise settles. @throws OrcaError `overloaded` if the thread ends meanwhile, or the system
   * has none left.
   */
  async digest(chunk: ChunkBytes): Promise<ChunkDigest> {
    const blocks = chunk.segments.map((segment) => segment.bytes);
    for (const block of blocks) {
      assert(
        block.buffer instanceof SharedArrayBuffer,
        "a segment is shared with the digest thread, not copied",
      );
    }
    const thread = (this.#thread ??= this.#startThread());
    if (thread === undefined) {
      const message = "Cannot hash a chunk: the thread that hashes it cannot be started";
      throw new OrcaError("overloaded", "cachestore", message);
    }
    const pending = Promise.withResolvers<ChunkDigest>();
    this.#pending.push(pending);
    thread.postMessage(blocks);
    return await pending.promise;
  }

  async close(): Promise<void> {
    await this.#thread?.terminate();
  }

  #startThread(): Worker | undefined {
    const thread = this.#starter.start(this.#threadModule, { name: "orca-digest" });
    if (thread === undefined) return undefined;
    thread.on("message", (digest: ChunkDigest) => this.#pending.shift()?.resolve(digest));
    thread.on("error", (error) => {
      const suppressed = this.#pace.take("crash");
      const message =
        "The thread that hashes chunks failed; its chunks are not stored, and Orca starts a new thread";
      if (suppressed) this.#logger.error({ err: error, ...suppressed }, message);
    });
    thread.on("exit", () => {
      this.#thread = undefined;
      const left = this.#pending;
      this.#pending = [];
      for (const { reject } of left) {
        reject(
          new OrcaError("overloaded", "cachestore", "Cannot hash a chunk: the thread that hashes it ended"),
        );
      }
    });
    return thread;
  }
}
