/**
 * Digests chunks off the event loop, in a thread that reads them where they lie. A chunk that goes to the disk tier too
 * is hashed twice, since that tier hashes as it writes; to hand one result to both would have the one wait for the other.
 *
 * Invariants:
 * 1. The thread answers in the order it was asked; #pending is that order.
 * 2. A chunk's memory is in use until its promise settles, and not after: also not when the thread dies.
 */
import { Worker } from "node:worker_threads";
import { assert } from "../../../base/assert.ts";
import type { Logger } from "../../../base/logger.ts";
import { OrcaError } from "../../../base/orca-error.ts";
import type { ChunkBytes } from "../../../chunk/chunk-bytes.ts";
import type { ChunkDigest } from "./chunk-digest.ts";

export class ChunkDigester {
  readonly #logger: Logger;
  readonly #threadModule: URL;
  #pending: PromiseWithResolvers<ChunkDigest>[] = [];
  #thread: Worker | undefined;

  /** `threadModule` is what the thread runs; for tests. */
  constructor(logger: Logger, threadModule = new URL("./chunk-digest-thread.ts", import.meta.url)) {
    this.#logger = logger;
    this.#threadModule = threadModule;
  }

  /** Borrows `chunk` until it settles. @throws OrcaError `overloaded` where the thread ended under it. */
  digest(chunk: ChunkBytes): Promise<ChunkDigest> {
    const blocks = chunk.segments.map((segment) => segment.bytes);
    for (const block of blocks) {
      assert(
        block.buffer instanceof SharedArrayBuffer,
        "a segment is shared with the digest thread, not copied",
      );
    }
    const pending = Promise.withResolvers<ChunkDigest>();
    this.#pending.push(pending);
    this.#thread ??= this.#startThread();
    this.#thread.postMessage(blocks);
    return pending.promise;
  }

  async close(): Promise<void> {
    await this.#thread?.terminate();
  }

  #startThread(): Worker {
    const thread = new Worker(this.#threadModule, { name: "orca-digest" });
    thread.on("message", (digest: ChunkDigest) => this.#pending.shift()?.resolve(digest));
    thread.on("error", (error) =>
      this.#logger.error(
        { err: error },
        "The digest thread failed; its chunks are not kept, a new one is started",
      ),
    );
    thread.on("exit", () => {
      this.#thread = undefined;
      const left = this.#pending;
      this.#pending = [];
      for (const { reject } of left) {
        reject(
          new OrcaError("overloaded", "cachestore", "Cannot digest a chunk: the thread that does it ended"),
        );
      }
    });
    return thread;
  }
}
