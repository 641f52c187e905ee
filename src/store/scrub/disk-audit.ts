/**
 * Asks a thread what really lies on the disk, whatever the disk tier believes. An audit serves one piece of work (a pass
 * of the scrub, a clear) and is closed after it, so that no thread idles between two passes a month apart.
 *
 * Invariants:
 * 1. One question is asked at a time.
 * 2. Each question is answered or rejected once, also when the thread dies or the audit is closed meanwhile.
 */
import { Worker } from "node:worker_threads";
import { assert } from "../../base/assert.ts";
import { OrcaError } from "../../base/orca-error.ts";
import type { AuditAnswer, AuditQuestion, IdentifiedChunk } from "./disk-audit-thread.ts";

/** An answer to {@link DiskAudit.check}. */
export type CheckStep = Extract<AuditAnswer, { kind: "read" | "checked" }>;

type Answered<Kind extends AuditAnswer["kind"]> = Extract<AuditAnswer, { kind: Kind }>;

const action = "Cannot look at the chunks on disk";

export class DiskAudit {
  readonly #thread: Worker;
  #pending: PromiseWithResolvers<AuditAnswer> | undefined;
  #end: OrcaError | undefined;

  /** `threadModule` is what the thread runs; for tests. */
  constructor(threadModule = new URL("./disk-audit-thread.ts", import.meta.url)) {
    this.#thread = new Worker(threadModule, { name: "orca-audit" });
    this.#thread.on("message", (answer: AuditAnswer) => {
      const pending = this.#pending;
      this.#pending = undefined;
      pending?.resolve(answer);
    });
    this.#thread.on("error", (cause) =>
      this.#fail(new OrcaError("internal", "disk", `${action}: the thread failed`, { cause })),
    );
    this.#thread.on("exit", () =>
      this.#fail(new OrcaError("internal", "disk", `${action}: the thread ended`)),
    );
  }

  /** The names in a directory, in order. Like each method here, throws an OrcaError if the directory or the thread fails. */
  async list(directory: string): Promise<readonly string[]> {
    return (await this.#ask({ kind: "list", directory }, "listed")).names;
  }

  /** The chunks in a directory, without the files whose footer cannot be read. */
  async identify(directory: string): Promise<readonly IdentifiedChunk[]> {
    return (await this.#ask({ kind: "identify", directory }, "identified")).chunks;
  }

  /** Begins to check the file of the chunk `key`. The answer is the first block, or the verdict. */
  check(path: string, key: string): Promise<CheckStep> {
    return this.#ask({ kind: "check", path, key }, "read", "checked");
  }

  /** Checks the next block, after an answer of kind `read`. */
  next(): Promise<CheckStep> {
    return this.#ask({ kind: "next" }, "read", "checked");
  }

  /** Rejects the question in progress with `shutting_down`. */
  async close(): Promise<void> {
    this.#fail(new OrcaError("shutting_down", "disk", `${action}: it was stopped`));
    await this.#thread.terminate();
  }

  async #ask<Kind extends AuditAnswer["kind"]>(
    question: AuditQuestion,
    ...kinds: readonly Kind[]
  ): Promise<Answered<Kind>> {
    if (this.#end) throw this.#end;
    assert(this.#pending === undefined, "one question is asked at a time");
    this.#pending = Promise.withResolvers();
    this.#thread.postMessage(question);
    const answer = await this.#pending.promise;
    if (answer.kind === "failed") throw new OrcaError("internal", "disk", `${action}: ${answer.code}`);
    assert((kinds as readonly string[]).includes(answer.kind), "an answer fits its question");
    return answer as Answered<Kind>;
  }

  #fail(error: OrcaError): void {
    this.#end ??= error;
    this.#pending?.reject(this.#end);
    this.#pending = undefined;
  }
}
