/**
 * An origin as a source of metadata. It separates the origin's errors: a lasting error, which is a fact about the object,
 * is returned as an answer that can be cached and sent to peers. Any other error is thrown.
 */
import { OrcaError } from "../base/orca-error.ts";
import type { ObjectHead, ObjectLocation } from "../origin/origin.ts";
import type { Asker } from "../trace/trace.ts";
import type { HeadAnswer, HeadQuestion, HeadSource } from "./directory.ts";

/** The part of an origin that a directory uses. */
export interface HeadOrigin {
  readonly id: string;
  head(location: ObjectLocation, asker?: Asker): Promise<ObjectHead | null>;
}

export class OriginHeads implements HeadSource {
  readonly id: string;
  readonly isOrigin = true;
  readonly #origin: HeadOrigin;

  constructor(origin: HeadOrigin) {
    this.id = origin.id;
    this.#origin = origin;
  }

  /** Ignores the ETags of the question: an origin has no cache that they could correct. */
  async head(location: ObjectLocation, question?: Pick<HeadQuestion, "asker">): Promise<HeadAnswer> {
    return { head: await this.#ask(location, question?.asker), remainingMs: undefined };
  }

  async #ask(location: ObjectLocation, asker: Asker | undefined): Promise<ObjectHead | OrcaError> {
    try {
      const head = await this.#origin.head(location, asker);
      if (head) return head;
      const message = `Cannot find "${location.key}": the origin has no such key`;
      return new OrcaError("no_such_key", "object", message);
    } catch (thrown) {
      if (thrown instanceof OrcaError && thrown.isLasting) return thrown;
      throw thrown;
    }
  }
}
