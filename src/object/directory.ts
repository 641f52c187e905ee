/**
 * The cache of object metadata for one origin: size, ETag and the headers a client must get back. It decides which
 * version a request reads, so its TTLs are the whole of Orca's staleness.
 *
 * It is used in two places. In a cluster of one its source is the origin, and clients are answered from it. In a larger
 * one it is there twice: as the authority, with the origin as its source, it answers whoever asks for objects that this
 * replica coordinates; in front of that, with the cluster as its source (cluster-heads.ts), it answers clients.
 *
 * Invariants, beside those of {@link AnswerCache}:
 * 1. An entry expires at the latest `ttlMs` after the HEAD that brought it was *sent*, on whatever replica: whatever the
 *    origin held after that moment is seen at the latest one TTL later. What a coordinator says is left of the TTL was
 *    true after it was asked, and is counted from when it was asked.
 * 2. What was found stale is forgotten at once, and the next to be asked is told of it.
 * 3. Kept as negative entries are facts about the object: absent, no ETag, not supported.
 */
import type { Clock } from "../base/clock.ts";
import { OrcaError } from "../base/orca-error.ts";
import { type ChunkTier, chunkSizeFor } from "../chunk/layout.ts";
import { ObjectVersion } from "../chunk/object-version.ts";
import type { ObjectHead, ObjectLocation } from "../origin/origin.ts";
import { AnswerCache, type Reply, type TimedAnswer } from "./answer-cache.ts";
import { Doubts } from "./doubts.ts";
import type { PeerHeadAnswer } from "./object-peers.ts";

/** An object as it was when the origin was last asked. */
export interface ObjectRecord {
  readonly version: ObjectVersion;
  readonly head: ObjectHead;
}

/** A refused look-up is a value too, because it can be kept. */
export type LookupResult =
  | { readonly kind: "found"; readonly record: ObjectRecord }
  | { readonly kind: "refused"; readonly error: OrcaError };

export interface HeadAnswer {
  /** The metadata, or the lasting reason why there is none: `no_such_key`, `origin_missing_etag`, `origin_unsupported`. */
  readonly head: ObjectHead | OrcaError;
  /** What is left of its TTL, 0 for those who wait only; undefined where the origin itself was asked. */
  readonly remainingMs: number | undefined;
}

/** An origin (origin-heads.ts), or a cluster that asks it once for all replicas (cluster-heads.ts). */
export interface HeadSource {
  /** The origin's. */
  readonly id: string;
  /**
   * `staleEtag` was found not to be the object's any more; empty for none.
   * @throws OrcaError for what is not a fact about the object but about the moment.
   */
  head(location: ObjectLocation, staleEtag: string): Promise<HeadAnswer>;
}

export interface DirectoryOptions {
  readonly source: HeadSource;
  readonly clock: Clock;
  readonly chunkTiers: readonly ChunkTier[];
  /** 0 asks the source for every request. */
  readonly ttlMs: number;
  readonly negativeTtlMs: number;
  readonly entriesMax: number;
}

/** Is told that an object is another version than `staleEtag`, which others may still have. */
export type ReplacementListener = (location: ObjectLocation, staleEtag: string) => void;

export class Directory {
  readonly stats = { hits: 0, misses: 0, joins: 0, negativeHits: 0, forgotten: 0 };
  readonly #options: DirectoryOptions;
  readonly #answers: AnswerCache<LookupResult>;
  readonly #doubts: Doubts;
  readonly #listeners = new Set<ReplacementListener>();

  constructor(options: DirectoryOptions) {
    this.#options = options;
    const { clock, ttlMs, entriesMax } = options;
    this.#answers = new AnswerCache({ clock, joinMs: ttlMs, entriesMax, stats: this.stats });
    this.#doubts = new Doubts(clock, entriesMax, ttlMs);
  }

  get size(): number {
    return this.#answers.size;
  }

  /** What is known and fresh, without asking anybody. */
  peek(location: ObjectLocation): LookupResult | undefined {
    return this.#fresh(entryName(location))?.answer;
  }

  /** What is known, else what the source says. @throws OrcaError when it could not be asked. */
  async lookup(location: ObjectLocation): Promise<LookupResult> {
    return (await this.#find(location, entryName(location))).answer;
  }

  /**
   * As {@link lookup}, for another replica, to which `staleEtag` is no answer.
   * @throws OrcaError when the source could not be asked.
   */
  async answer(location: ObjectLocation, staleEtag: string): Promise<PeerHeadAnswer> {
    if (staleEtag !== "") this.forget(location, staleEtag);
    const name = entryName(location);
    const timed = await this.#find(location, name);
    // What was forgotten while its HEAD was in flight is for those who waited for it.
    const isKept = this.#answers.kept(name) === timed;
    const { answer } = timed;
    return {
      head: answer.kind === "found" ? answer.record.head : answer.error,
      remainingMs: isKept ? this.#answers.remainingMs(timed) : 0,
    };
  }

  /**
   * Drops what is believed of an object because `etag` turned out not to be its ETag any more. An entry that already
   * tells of something else stays: whoever looked again before us was right. So does a look-up in flight that was sent
   * with this very doubt, while any other may bring the same ETag again.
   */
  forget(location: ObjectLocation, etag: string): void {
    const name = entryName(location);
    const kept = this.#answers.kept(name)?.answer;
    if (kept && !(kept.kind === "found" && kept.record.version.etag === etag)) return;
    // Since the doubt was raised nothing of this ETag was kept, and whatever is in flight was sent after it.
    if (!kept && this.#doubts.staleEtag(name) === etag) return;
    this.#doubts.foundStale(name, etag);
    this.#answers.drop(name);
    this.stats.forgotten += 1;
  }

  /** Drops what is believed of an object, whatever that is: somebody knows that it has changed. */
  invalidate(location: ObjectLocation): void {
    const name = entryName(location);
    this.#doubts.invalidated(name);
    this.#answers.drop(name);
    this.stats.forgotten += 1;
  }

  /** Calls `listener` after each look-up that found something else in place of a stale version. Returns how to end that. */
  subscribe(listener: ReplacementListener): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  #fresh(name: string): TimedAnswer<LookupResult> | undefined {
    const timed = this.#answers.fresh(name);
    if (timed === undefined) return undefined;
    if (timed.answer.kind === "found") this.stats.hits += 1;
    else this.stats.negativeHits += 1;
    return timed;
  }

  async #find(location: ObjectLocation, name: string): Promise<TimedAnswer<LookupResult>> {
    return this.#fresh(name) ?? this.#answers.ask(name, () => this.#ask(location, name));
  }

  async #ask(location: ObjectLocation, name: string): Promise<Reply<LookupResult>> {
    const { source, ttlMs, negativeTtlMs } = this.#options;
    const staleEtag = this.#doubts.staleEtag(name);
    const believedMs = this.#doubts.believedMs(name);
    const { head, remainingMs } = await source.head(location, staleEtag);
    if (staleEtag !== "") this.#settle(location, name, staleEtag, head);
    const answer = this.#resultOf(location, head);
    const freshMs = answer.kind === "found" ? ttlMs : negativeTtlMs;
    if (remainingMs === undefined) return { answer, freshMs };
    return { answer, freshMs: Math.min(freshMs, remainingMs, believedMs) };
  }

  #settle(location: ObjectLocation, name: string, staleEtag: string, head: ObjectHead | OrcaError): void {
    this.#doubts.answered(name, staleEtag);
    const isReplaced = head instanceof OrcaError || head.etag !== staleEtag;
    // With a TTL of 0 nobody has kept what would have to be forgotten.
    if (!isReplaced || this.#options.ttlMs === 0) return;
    for (const listener of this.#listeners) listener(location, staleEtag);
  }

  #resultOf(location: ObjectLocation, head: ObjectHead | OrcaError): LookupResult {
    if (head instanceof OrcaError) return { kind: "refused", error: head };
    const version = new ObjectVersion({
      originId: this.#options.source.id,
      bucket: location.bucket,
      objectKey: location.key,
      etag: head.etag,
      sizeBytes: head.sizeBytes,
      chunkSizeBytes: chunkSizeFor(head.sizeBytes, this.#options.chunkTiers),
    });
    return { kind: "found", record: { version, head } };
  }
}

/** Bucket names hold no NUL, so no two locations share a name. */
function entryName(location: ObjectLocation): string {
  return `${location.bucket}\0${location.key}`;
}
