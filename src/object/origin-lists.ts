/** An origin as a source of listings: what it sends is as of now. */
import type { ListPage, ListRequest } from "../origin/origin.ts";
import type { ListAnswer, ListAnswerSource } from "./list-cache.ts";

/** The one question of a bucket to an origin. */
export interface ListOrigin {
  list(request: ListRequest): Promise<ListPage>;
}

export class OriginLists implements ListAnswerSource {
  readonly #origin: ListOrigin;

  constructor(origin: ListOrigin) {
    this.#origin = origin;
  }

  async list(request: ListRequest): Promise<ListAnswer> {
    return { page: await this.#origin.list(request), remainingMs: undefined };
  }
}
