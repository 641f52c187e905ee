/**
 * Questions about what really lies on the disk, whatever the disk tier believes: asked of a thread, one at a time. It is
 * made for one piece of work (a scrub, a clear) and closed behind it, so that no thread waits for work that comes twice
 * a month.
 *
 * Invariant: a question is answered or rejected once, also when the thread dies or is closed under it.
 */
import { Worker } from "node:worker_threads";
import { assert } from "../../base/assert.ts";
import { OrcaError } from "../../base/orca-error.ts";
import type { AuditAnswer, AuditQuestion, IdentifiedChunk } from "./disk-audit-server.ts";

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

  /** Names in a directory, in order. @throws OrcaError (all of them) where the directory or the thread failed. */
  async list(directory: string): Promise<readonly string[]> {
    return (await this.#ask({ kind: "list", directory }, "listed")).names;
  }

  /** The chunks in a directory; files whose footer cannot be read are left out. */
  async identify(directory: string): Promise<readonly IdentifiedChunk[]> {
    return (await this.#ask({ kind: "identify", directory }, "identified")).chunks;
  }

  /** Begins to check the file of the chunk `key`, which may be one block's step or the end of it. */
  check(path: string, key: string): Promise<CheckStep> {
    return this.#ask({ kind: "check", path, key }, "read", "checked");
  }

  /** Goes on after a step that has `read`. */
  next(): Promise<CheckStep> {
    return this.#ask({ kind: "next" }, "read", "checked");
  }

  /** What is being asked is rejected with `shutting_down`. */
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
