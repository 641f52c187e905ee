/** The steps of a look-up of metadata, as its trace logs them (trace/trace-steps.ts). Each costs one boolean while they are off. */
import type { OrcaError } from "../base/orca-error.ts";
import type { ObjectHead, ObjectLocation } from "../origin/origin.ts";
import { type Asker, shortEtag, type Trace } from "../trace/trace.ts";

/** Why a source is asked: nothing is cached, the cached answer may be outdated or ends soon, or a client contradicts it. */
export type AskReason = "miss" | "refresh" | "ahead" | "revalidation";

type Answer =
  | { readonly kind: "found"; readonly record: { readonly head: ObjectHead } }
  | { readonly kind: "error"; readonly error: OrcaError };

export class DirectoryTrace {
  readonly #trace: Trace | undefined;
  readonly #originId: string;

  constructor(trace: Trace | undefined, originId: string) {
    this.#trace = trace;
    this.#originId = originId;
  }

  hit(location: ObjectLocation, asker: Asker | undefined, answer: Answer): void {
    if (!this.#trace?.isOn || !asker) return;
    const result = answer.kind === "found" ? "found" : answer.error.code;
    const etag = answer.kind === "found" ? shortEtag(answer.record.head.etag) : "";
    this.#trace.step("metadata_hit", asker.requestId, { ...this.#object(location), result, etag });
  }

  join(location: ObjectLocation, asker: Asker | undefined, leaderId: string): void {
    if (!this.#trace?.isOn || !asker) return;
    this.#trace.step("metadata_join", asker.requestId, { ...this.#object(location), leaderId });
  }

  ask(location: ObjectLocation, asker: Asker | undefined, isOrigin: boolean, reason: AskReason): void {
    if (!this.#trace?.isOn || !asker) return;
    const from = isOrigin ? "origin" : "cluster";
    this.#trace.step("metadata_ask", asker.requestId, { ...this.#object(location), from, reason });
  }

  #object(location: ObjectLocation) {
    return { originId: this.#originId, ...location };
  }
}
