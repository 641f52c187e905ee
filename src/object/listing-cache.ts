/**
 * The cache of listings for one origin. A page is cached under its complete request. Continuation tokens are the
 * origin's own, so the pages of one traversal fit together. A new traversal uses the cached first page if it is fresh.
 * Listings are not invalidated: whatever happens to the objects in it, a page may be up to one TTL old.
 */
import type { Clock } from "../base/clock.ts";
import type { ListPage, ListRequest } from "../origin/origin.ts";
import { AnswerCache, type Reply, type TimedAnswer } from "./answer-cache.ts";
import type { PeerListAnswer } from "./object-peers.ts";

/** Returns pages: an origin, or the cache in front of it. */
export interface Listings {
  /** @throws OrcaError as `Origin.list` does. */
  list(request: ListRequest): Promise<ListPage>;
}

export interface ListingAnswer {
  readonly page: ListPage;
  /** The remaining TTL; undefined if the origin itself answered. */
  readonly remainingMs: number | undefined;
}

/** An origin ({@link OriginListings}), or the cluster, which asks the origin once for all (cluster-listings.ts). */
export interface ListingSource {
  /** @throws OrcaError as `Origin.list` does. */
  list(request: ListRequest): Promise<ListingAnswer>;
}

/** An origin as a source of listings. Its pages are fresh for a whole TTL. */
export class OriginListings implements ListingSource {
  readonly #origin: Listings;

  constructor(origin: Listings) {
    this.#origin = origin;
  }

  async list(request: ListRequest): Promise<ListingAnswer> {
    return { page: await this.#origin.list(request), remainingMs: undefined };
  }
}

export interface ListingCacheOptions {
  readonly source: ListingSource;
  readonly clock: Clock;
  /** 0: every request asks the source. */
  readonly ttlMs: number;
  readonly entriesMax: number;
  /** Pages with a larger estimated size are not cached. */
  readonly responseBytesMax: number;
}

/** Estimated memory of an object in a page, without its key and ETag. */
const listedObjectBytes = 128;

export class ListingCache implements Listings {
  readonly stats = { hits: 0, misses: 0, joins: 0, oversize: 0 };
  readonly #options: ListingCacheOptions;
  readonly #answers: AnswerCache<ListPage>;

  constructor(options: ListingCacheOptions) {
    this.#options = options;
    const { clock, ttlMs, entriesMax, responseBytesMax } = options;
    this.#answers = new AnswerCache({
      clock,
      joinMs: ttlMs,
      entriesMax,
      isTooLarge: (page) => {
        if (estimateBytes(page) <= responseBytesMax) return false;
        this.stats.oversize += 1;
        return true;
      },
      stats: this.stats,
    });
  }

  get size(): number {
    return this.#answers.size;
  }

  /** A page that is at most one TTL old. @throws OrcaError if it is not cached and the source fails. */
  async list(request: ListRequest): Promise<ListPage> {
    return (await this.#find(request)).answer;
  }

  /** Like {@link list}, for another replica. */
  async answer(request: ListRequest): Promise<PeerListAnswer> {
    const timed = await this.#find(request);
    return { page: timed.answer, remainingMs: this.#answers.remainingMs(timed) };
  }

  async #find(request: ListRequest): Promise<TimedAnswer<ListPage>> {
    const name = entryName(request);
    const known = this.#answers.fresh(name);
    if (known) {
      this.stats.hits += 1;
      return known;
    }
    return this.#answers.ask(name, () => this.#send(request));
  }

  async #send(request: ListRequest): Promise<Reply<ListPage>> {
    const { source, ttlMs } = this.#options;
    const { page, remainingMs = ttlMs } = await source.list(request);
    return { answer: page, freshMs: Math.min(ttlMs, remainingMs) };
  }
}

/** Prefixes and delimiters may contain any character, so JSON's quotes separate the parts. */
function entryName(request: ListRequest): string {
  const { bucket, prefix, delimiter, maxKeys, continuationToken, startAfter } = request;
  return JSON.stringify([bucket, prefix, delimiter, maxKeys, continuationToken, startAfter]);
}

/** The estimated memory of a page. Two bytes per character is an upper bound. The rest is approximate. */
function estimateBytes({ objects, commonPrefixes, nextContinuationToken }: ListPage): number {
  let characters = nextContinuationToken.length;
  for (const { key, etag } of objects) characters += key.length + etag.length;
  for (const prefix of commonPrefixes) characters += prefix.length;
  return 2 * characters + listedObjectBytes * objects.length;
}
