/** An origin as a source of listings: what it sends is as of now. */
import type { ListPage, ListRequest } from "../origin/origin.ts";
import type { ListingAnswer, ListingSource } from "./listing-cache.ts";

/** The one question of a bucket to an origin. */
export interface ListOrigin {
  list(request: ListRequest): Promise<ListPage>;
}

export class OriginListings implements ListingSource {
  readonly #origin: ListOrigin;

  constructor(origin: ListOrigin) {
    this.#origin = origin;
  }

  async list(request: ListRequest): Promise<ListingAnswer> {
    return { page: await this.#origin.list(request), remainingMs: undefined };
  }
}
