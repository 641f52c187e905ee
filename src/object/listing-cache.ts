/**
 * The cache of listings for one origin. A page is cached under its complete request. Continuation tokens are the
 * origin's own, so the pages of one traversal fit together. A new traversal uses the cached first page if it is fresh.
 * Only a person who clears the cache drops pages: whatever happens to the objects in it, a page
 * may be up to one TTL old.
 *
 * Invariants:
 * 1. The cached pages take at most `bytesMax` of memory, estimated from above (listing-bytes.ts).
 * 2. At most `runningMax` questions are with the source, and at most {@link waitingMax} wait for that. Each page and its
 *    XML is large, and parsing it takes time of the event loop.
 * 3. A page that is stale is released at most one sweep later.
 */
import type { Clock } from "../base/clock.ts";
import { Semaphore } from "../base/semaphore.ts";
import type { ObjectPrefix } from "../chunk/object-prefix.ts";
import type { ListPage, ListRequest } from "../origin/origin.ts";
import { AnswerCache, type Reply, type TimedAnswer } from "./answer-cache.ts";
import { Sweep } from "./freshness/sweep.ts";
import { entryBytes } from "./listing-bytes.ts";
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
  /** Of all cached pages together. */
  readonly bytesMax: number;
  /** A page that takes more is not cached. */
  readonly responseBytesMax: number;
  /** Questions that are with the source at once. */
  readonly runningMax: number;
  /** How long a question waits until fewer run. After that its client gets 503 SlowDown. */
  readonly queueTimeoutMs: number;
}

/** Questions that wait. Each holds a client's request and little else. One more gets 503 SlowDown at once. */
const waitingMax = 1000;

export class ListingCache implements Listings {
  readonly stats = { hits: 0, misses: 0, joins: 0, oversize: 0 };
  readonly #options: ListingCacheOptions;
  readonly #answers: AnswerCache<ListPage>;
  readonly #permits: Semaphore;
  readonly #sweep: Sweep;

  constructor(options: ListingCacheOptions) {
    this.#options = options;
    const { clock, ttlMs, entriesMax, bytesMax, responseBytesMax, runningMax } = options;
    this.#permits = new Semaphore("a LIST", runningMax, clock, waitingMax, "object");
    this.#answers = new AnswerCache({
      clock,
      joinMs: () => ttlMs,
      entriesMax,
      weightMax: bytesMax,
      weigh: (name, page) => {
        const bytes = entryBytes(name, page);
        if (bytes <= Math.min(responseBytesMax, bytesMax)) return bytes;
        this.stats.oversize += 1;
        return Infinity;
      },
      stats: this.stats,
    });
    this.#sweep = new Sweep(clock, ttlMs, [this.#answers]);
  }

  get size(): number {
    return this.#answers.size;
  }

  /** Memory of all cached pages, estimated from above. */
  get bytes(): number {
    return this.#answers.weight;
  }

  /** Questions that are with the source. */
  get running(): number {
    return this.#permits.inUse;
  }

  /** Questions that wait until fewer run. */
  get waiting(): number {
    return this.#permits.waiting;
  }

  /** Ends the sweeps. Until then they keep the process alive, once there are pages. */
  close(): void {
    this.#sweep.close();
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

  /** Drops the pages of a bucket that may name objects below `prefix`; all without one. */
  clear(prefix?: Pick<ObjectPrefix, "bucket" | "keyPrefix">): void {
    for (const name of this.#answers.names()) {
      const [bucket, listed] = JSON.parse(name) as [string, string];
      const isOther =
        prefix &&
        (bucket !== prefix.bucket ||
          !(listed.startsWith(prefix.keyPrefix) || prefix.keyPrefix.startsWith(listed)));
      if (!isOther) this.#answers.drop(name);
    }
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
    const { source, ttlMs, queueTimeoutMs } = this.#options;
    const permit = this.#permits.tryAcquire() ?? (await this.#permits.acquire(queueTimeoutMs));
    try {
      const { page, remainingMs = ttlMs } = await source.list(request);
      if (ttlMs > 0) this.#sweep.later();
      return { answer: page, freshMs: Math.min(ttlMs, remainingMs) };
    } finally {
      permit.release();
    }
  }
}

/** Prefixes and delimiters may contain any character, so JSON's quotes separate the parts. */
function entryName(request: ListRequest): string {
  const { bucket, prefix, delimiter, maxKeys, continuationToken, startAfter, versionIdMarker } = request;
  const objects = [bucket, prefix, delimiter, maxKeys, continuationToken, startAfter];
  return JSON.stringify(versionIdMarker === undefined ? objects : [...objects, versionIdMarker]);
}
