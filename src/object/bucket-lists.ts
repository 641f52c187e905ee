/**
 * The lists of an origin's buckets, for `origin.buckets: {"*"}`. There is one for Orca's own credentials, and with
 * `authorize: origin` one for each key of a client: what one client may know is never told to another.
 *
 * Invariants, in addition to those of {@link AnswerCache}:
 * 1. A list is kept under the key that signed its question, and given to that key alone.
 * 2. That the origin denies a key its list is kept for `negativeTtlMs`. Any other failure is not kept.
 * 3. The lists take at most {@link listsBytesMax} of memory, and there are at most {@link listsMax}.
 */
import type { Clock } from "../base/clock.ts";
import { OrcaError } from "../base/orca-error.ts";
import type { ListedBucket, OriginKey } from "../origin/origin.ts";
import { AnswerCache, type Reply } from "./answer-cache.ts";
import { Sweep } from "./freshness/sweep.ts";

/** Of an origin (GuardedOrigin). */
export interface BucketSource {
  listBuckets(as: OriginKey | undefined): Promise<readonly ListedBucket[]>;
}

export interface BucketListsOptions {
  readonly origin: BucketSource;
  readonly clock: Clock;
  /** How long a list is fresh. */
  readonly ttlMs: number;
  /** Of a list for a client's key. A right that is taken away ends with it. */
  readonly clientTtlMs: number;
  readonly negativeTtlMs: number;
}

const listsMax = 1000;
const listsBytesMax = 8 * 1024 * 1024;
/** Of a bucket beside its name, estimated from above. */
const bucketBytes = 120;
const entryBytes = 400;

type ListAnswer = readonly ListedBucket[] | OrcaError;

export class BucketLists {
  readonly stats = { hits: 0, misses: 0, joins: 0 };
  readonly #options: BucketListsOptions;
  readonly #answers: AnswerCache<ListAnswer>;
  readonly #sweep: Sweep;

  constructor(options: BucketListsOptions) {
    this.#options = options;
    const { clock, ttlMs } = options;
    this.#answers = new AnswerCache({
      clock,
      joinMs: () => ttlMs,
      entriesMax: listsMax,
      weightMax: listsBytesMax,
      weigh: weightOf,
      stats: this.stats,
    });
    this.#sweep = new Sweep(clock, ttlMs, [this.#answers]);
  }

  get size(): number {
    return this.#answers.size;
  }

  get bytes(): number {
    return this.#answers.weight;
  }

  /** What the owner of `as`, or of Orca's own credentials, may know. @throws OrcaError as `Origin.listBuckets`. */
  async list(as: OriginKey | undefined): Promise<readonly ListedBucket[]> {
    const name = as === undefined ? "" : JSON.stringify([as.accessKeyId, as.sessionToken]);
    const known = this.#answers.fresh(name);
    if (known) this.stats.hits += 1;
    const { answer } = known ?? (await this.#answers.ask(name, () => this.#send(as)));
    if (answer instanceof OrcaError) throw answer;
    return answer;
  }

  /** Drops the lists of all clients, because keys have changed. */
  clear(): void {
    for (const name of this.#answers.names()) this.#answers.drop(name);
  }

  close(): void {
    this.#sweep.close();
  }

  async #send(as: OriginKey | undefined): Promise<Reply<ListAnswer>> {
    const { origin, ttlMs, clientTtlMs, negativeTtlMs } = this.#options;
    const freshMs = as === undefined ? ttlMs : Math.min(ttlMs, clientTtlMs);
    this.#sweep.later();
    try {
      return { answer: await origin.listBuckets(as), freshMs };
    } catch (thrown) {
      if (!(thrown instanceof OrcaError) || thrown.code !== "origin_denied") throw thrown;
      return { answer: thrown, freshMs: Math.min(freshMs, negativeTtlMs) };
    }
  }
}

function weightOf(name: string, answer: ListAnswer): number {
  let bytes = entryBytes + 2 * name.length;
  if (answer instanceof OrcaError) return bytes;
  for (const bucket of answer) bytes += bucketBytes + bucket.name.length;
  return bytes;
}
