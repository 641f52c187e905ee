/**
 * An origin as a source of metadata. Its faults are told apart here: what says something lasting about the object is an
 * answer, which can be kept and passed on, and what says something about the moment is thrown.
 */
import { OrcaError } from "../base/orca-error.ts";
import type { ObjectHead, ObjectLocation } from "../origin/origin.ts";
import type { HeadAnswer, HeadSource } from "./directory.ts";

/** The one question of a directory to an origin. */
export interface HeadOrigin {
  readonly id: string;
  head(location: ObjectLocation): Promise<ObjectHead | null>;
}

export class OriginHeads implements HeadSource {
  readonly id: string;
  readonly isOrigin = true;
  readonly #origin: HeadOrigin;

  constructor(origin: HeadOrigin) {
    this.id = origin.id;
    this.#origin = origin;
  }

  /** The origin keeps nothing, so that no doubt is news to it. */
  async head(location: ObjectLocation): Promise<HeadAnswer> {
    return { head: await this.#ask(location), remainingMs: undefined };
  }

  async #ask(location: ObjectLocation): Promise<ObjectHead | OrcaError> {
    try {
      const head = await this.#origin.head(location);
      if (head) return head;
      const message = `Cannot find "${location.key}": the origin has no such key`;
      return new OrcaError("no_such_key", "object", message);
    } catch (thrown) {
      if (thrown instanceof OrcaError && thrown.isLasting) return thrown;
      throw thrown;
    }
  }
}
