/**
 * The cache of listings for one origin. A page is kept under the whole request that brought it: continuation tokens are
 * the origin's own, so that the pages of one walk stay together, while a new walk begins with whatever is fresh. Listings
 * are therefore up to one TTL old, whatever becomes of the objects in them: they are not invalidated.
 */
import type { Clock } from "../base/clock.ts";
import type { ListPage, ListRequest } from "../origin/origin.ts";
import { AnswerCache, type Reply, type TimedAnswer } from "./answer-cache.ts";
import type { PeerListAnswer } from "./object-peers.ts";

export interface ListingAnswer {
  readonly page: ListPage;
  /** What is left of its TTL; undefined where the origin itself was asked. */
  readonly remainingMs: number | undefined;
}

/** An origin (origin-lists.ts), or a cluster that asks it once for all replicas (cluster-lists.ts). */
export interface ListingSource {
  /** @throws OrcaError as `Origin.list` does. */
  list(request: ListRequest): Promise<ListingAnswer>;
}

export interface ListingCacheOptions {
  readonly source: ListingSource;
  readonly clock: Clock;
  /** 0 asks the source for every request. */
  readonly ttlMs: number;
  readonly entriesMax: number;
  /** Pages that are larger by estimate are not kept. */
  readonly responseBytesMax: number;
}

/** An object in a page, beside its key and ETag. */
const listedObjectBytes = 128;

export class ListingCache {
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

  /** A page no older than a TTL. @throws OrcaError where it is not known and could not be had. */
  async list(request: ListRequest): Promise<ListPage> {
    return (await this.#find(request)).answer;
  }

  /** As {@link list}, for another replica. */
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

/** Prefixes and delimiters may hold any character, so the parts are kept apart by quoting them. */
function entryName(request: ListRequest): string {
  const { bucket, prefix, delimiter, maxKeys, continuationToken, startAfter } = request;
  return JSON.stringify([bucket, prefix, delimiter, maxKeys, continuationToken, startAfter]);
}

/** What a page takes in memory: two bytes a character is an upper bound, and the rest is about right. */
function estimateBytes({ objects, commonPrefixes, nextContinuationToken }: ListPage): number {
  let characters = nextContinuationToken.length;
  for (const { key, etag } of objects) characters += key.length + etag.length;
  for (const prefix of commonPrefixes) characters += prefix.length;
  return 2 * characters + listedObjectBytes * objects.length;
}
