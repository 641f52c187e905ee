/**
 * An origin as a source of metadata. It separates the origin's errors: a lasting error, which is a fact about the object,
 * is returned as an answer that can be cached and sent to peers. Any other error is thrown.
 */
import { OrcaError } from "../base/orca-error.ts";
import type { ObjectHead, ObjectLocation, OriginHead } from "../origin/origin.ts";
import type { Asker } from "../trace/trace.ts";
import type { HeadAnswer, HeadQuestion, HeadSource } from "./directory.ts";
import { Absence } from "./versions/absence.ts";

/** The part of an origin that a directory uses. */
export interface HeadOrigin {
  readonly id: string;
  head(location: ObjectLocation, asker?: Asker): Promise<OriginHead>;
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
      if (head === null) return Absence.of(location);
      return "kind" in head ? Absence.of(location, head) : head;
    } catch (thrown) {
      if (thrown instanceof OrcaError && thrown.isLasting) return thrown;
      throw thrown;
    }
  }
}
