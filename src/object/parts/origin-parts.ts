/** An origin as a source of where parts lie. */
import type { ObjectPart, PartRequest } from "../../origin/origin.ts";
import type { Asker } from "../../trace/trace.ts";
import type { PartAnswer, PartSource } from "./part-tables.ts";

/** The part of an origin that is used here. */
export interface PartOrigin {
  readonly hasParts: boolean;
  part(request: PartRequest, asker?: Asker): Promise<ObjectPart>;
}

export class OriginParts implements PartSource {
  readonly #origin: PartOrigin;

  constructor(origin: PartOrigin) {
    this.#origin = origin;
  }

  get hasParts(): boolean {
    return this.#origin.hasParts;
  }

  async part(request: PartRequest, asker?: Asker): Promise<PartAnswer> {
    return { part: await this.#ask(request, asker), remainingMs: undefined };
  }

  /** A client learns how many parts there are, which an answer without a body does not tell. The first part does. */
  async #ask(request: PartRequest, asker: Asker | undefined): Promise<ObjectPart> {
    const part = await this.#origin.part(request, asker);
    if (part.kind !== "absent" || part.count > 0) return part;
    const first = await this.#origin.part({ ...request, partNumber: 1 }, asker);
    if (first.kind === "whole") return { kind: "absent", count: 1 };
    return { kind: first.count > 0 ? "absent" : "untold", count: first.count };
  }
}
