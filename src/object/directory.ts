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
 * 4. What is fresh may still differ from what other replicas believe. Who must agree with them asks with
 *    {@link Directory.lookupRefreshed}, who is contradicted with {@link Directory.revalidate}; neither drops what is kept.
 */
import type { Clock } from "../base/clock.ts";
import { LruMap } from "../base/lru-map.ts";
import { OrcaError } from "../base/orca-error.ts";
import { type ChunkTier, chunkSizeFor } from "../chunk/chunk-layout.ts";
import { isBelow, type ObjectPrefix } from "../chunk/object-prefix.ts";
import { ObjectVersion } from "../chunk/object-version.ts";
import type { ObjectHead, ObjectLocation } from "../origin/origin.ts";
import { AnswerCache, type Reply, type TimedAnswer } from "./answer-cache.ts";
import type { PeerHeadAnswer } from "./object-peers.ts";
import { Revalidations, refreshMs } from "./revalidations.ts";
import { StaleMarkers } from "./stale-markers.ts";

/** An object as it was when the origin was last asked. */
export interface ObjectRecord {
  readonly version: ObjectVersion;
  readonly head: ObjectHead;
}

/** A refused look-up is a value too, because it can be kept. */
export type LookupResult =
  | { readonly kind: "found"; readonly record: ObjectRecord }
  | { readonly kind: "refused"; readonly error: OrcaError };

/** What the asker knows already. */
export interface HeadQuestion {
  /** Was found not to be the object's any more; empty for none. */
  readonly staleEtag: string;
  /** Is believed, and contradicted by a client; empty for an absence, undefined where nothing is contradicted. */
  readonly contradictedEtag: string | undefined;
  /** An answer is at hand: where the one who should be asked is out of reach, nobody else need be. */
  readonly isRefresh: boolean;
}

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
  /** Whether there is nobody who would know better, and each question is a request to pay for. */
  readonly isOrigin: boolean;
  /** @throws OrcaError for what is not a fact about the object but about the moment. */
  head(location: ObjectLocation, question: HeadQuestion): Promise<HeadAnswer>;
}

export interface DirectoryOptions {
  readonly source: HeadSource;
  readonly clock: Clock;
  readonly chunkTiers: readonly ChunkTier[];
  /** 0 asks the source for every request. */
  readonly ttlMs: number;
  readonly negativeTtlMs: number;
  readonly entriesMax: number;
  /** Told of each version that was found to be no longer its object's: its chunks are the first to go. */
  readonly onSuperseded?: ((version: ObjectVersion) => void) | undefined;
}

/** Is told that an object is not `staleEtag` any more, which others may still believe; empty where there was none. */
export type ReplacementListener = (location: ObjectLocation, staleEtag: string) => void;

export class Directory {
  readonly stats = {
    hits: 0,
    misses: 0,
    joins: 0,
    negativeHits: 0,
    forgotten: 0,
    refreshes: 0,
    revalidations: 0,
  };
  readonly #options: DirectoryOptions;
  readonly #answers: AnswerCache<LookupResult>;
  readonly #revalidations: Revalidations<LookupResult>;
  /** How long what was asked for is what other replicas see, too. */
  readonly #refreshedForMs: number;
  readonly #staleMarkers: StaleMarkers;
  /** The last version seen of each object, which outlives its entry: an overwrite is found when that has ended. */
  readonly #lastVersions: LruMap<string, ObjectVersion>;
  readonly #listeners = new Set<ReplacementListener>();

  constructor(options: DirectoryOptions) {
    this.#options = options;
    const { source, clock, ttlMs, entriesMax } = options;
    const { stats } = this;
    const answers = new AnswerCache<LookupResult>({ clock, joinMs: ttlMs, entriesMax, stats });
    this.#answers = answers;
    // To ask another replica is cheap, and it has its own pause; the origin is to be spared.
    const revalidationPauseMs = source.isOrigin ? refreshMs : 0;
    this.#revalidations = new Revalidations({ clock, answers, revalidationPauseMs, stats });
    this.#refreshedForMs = source.isOrigin ? Number.POSITIVE_INFINITY : refreshMs;
    this.#staleMarkers = new StaleMarkers(clock, entriesMax, ttlMs);
    this.#lastVersions = new LruMap({ entriesMax });
  }

  get originId(): string {
    return this.#options.source.id;
  }

  get size(): number {
    return this.#answers.size;
  }

  /** What is known and fresh, without asking anybody. */
  peek(location: ObjectLocation): LookupResult | undefined {
    return this.#fresh(entryName(location))?.answer;
  }

  /** As {@link peek}, for {@link lookupRefreshed}. */
  peekConfirmed(location: ObjectLocation): LookupResult | undefined {
    const timed = this.#answers.fresh(entryName(location));
    return timed && this.#isConfirmed(timed) ? this.#counted(timed).answer : undefined;
  }

  /** What is known, else what the source says. @throws OrcaError when it could not be asked. */
  async lookup(location: ObjectLocation): Promise<LookupResult> {
    return (await this.#find(location, entryName(location))).answer;
  }

  /**
   * As {@link lookup}, for what begins a read in parts, of which others may go through other replicas: what the source
   * has said within the last {@link refreshMs}, or what is known where the source cannot say.
   */
  async lookupRefreshed(location: ObjectLocation): Promise<LookupResult> {
    const name = entryName(location);
    const known = this.#fresh(name);
    if (known === undefined) return (await this.#find(location, name)).answer;
    if (this.#isConfirmed(known)) return known.answer;
    const told = await this.#revalidations.refresh(name, known, () => this.#ask(location, name, known, true));
    // The source could not say, and meanwhile it has come out from elsewhere that it is not so.
    const isForgotten = told === known && this.#answers.kept(name) !== known;
    return (isForgotten ? await this.#find(location, name) : told).answer;
  }

  /**
   * What is to be believed of an object after a client's precondition contradicted `contradicted`. What is known in its
   * place is the answer, without a question. Else the source is asked, once at a time, and an origin at most once in
   * {@link refreshMs} while it says nothing new; those who come in between get what it said then.
   * @throws OrcaError when the source could not be asked.
   */
  async revalidate(location: ObjectLocation, contradicted: LookupResult): Promise<LookupResult> {
    // Nothing is kept, so that what is contradicted is the source's answer to this very request.
    if (this.#options.ttlMs === 0) return contradicted;
    return (await this.#revalidate(location, entryName(location), etagOf(contradicted))).answer;
  }

  /**
   * As {@link lookup}, for another replica, to which `staleEtag` is no answer, and `contradictedEtag` none by itself.
   * @throws OrcaError when the source could not be asked.
   */
  async answer(
    location: ObjectLocation,
    staleEtag: string,
    contradictedEtag: string | undefined,
  ): Promise<PeerHeadAnswer> {
    if (staleEtag !== "") this.forget(location, staleEtag);
    const name = entryName(location);
    const timed = await (contradictedEtag === undefined
      ? this.#find(location, name)
      : this.#revalidate(location, name, contradictedEtag));
    // What was forgotten while its HEAD was in flight is for those who waited for it.
    const isKept = this.#answers.kept(name) === timed;
    const { answer } = timed;
    return {
      head: answer.kind === "found" ? answer.record.head : answer.error,
      remainingMs: isKept ? this.#answers.remainingMs(timed) : 0,
    };
  }

  /**
   * Drops what is believed of an object because `etag`, empty for none, turned out not to be its ETag any more. An entry
   * that already tells of something else stays: whoever looked again before us was right. So does a look-up in flight
   * that was sent with this very doubt, while any other may bring the same ETag again.
   */
  forget(location: ObjectLocation, etag: string): void {
    const name = entryName(location);
    const kept = this.#answers.kept(name)?.answer;
    if (kept && etagOf(kept) !== etag) return;
    // Since the doubt was raised nothing of this ETag was kept, and whatever is in flight was sent after it.
    if (!kept && this.#staleMarkers.staleEtag(name) === etag) return;
    this.#staleMarkers.foundStale(name, etag);
    this.#answers.drop(name);
    this.stats.forgotten += 1;
  }

  /** Drops what is believed of an object, whatever that is: somebody knows that it has changed. */
  invalidate(location: ObjectLocation): void {
    const name = entryName(location);
    this.#staleMarkers.invalidated(name);
    this.#answers.drop(name);
    this.stats.forgotten += 1;
  }

  /** Versions that are believed to be current. Without a prefix, of all objects. */
  versions(prefix?: ObjectPrefix): ObjectVersion[] {
    return this.#namesBelow(prefix).flatMap((name) => {
      const answer = this.#answers.kept(name)?.answer;
      return answer?.kind === "found" ? [answer.record.version] : [];
    });
  }

  /** As {@link invalidate}, for all objects below `prefix`, or for all there are. Answers of how many something was believed. */
  clear(prefix?: ObjectPrefix): number {
    const names = this.#namesBelow(prefix);
    for (const name of names) this.invalidate(locationOf(name));
    return names.length;
  }

  /** Calls `listener` after each look-up that found something else in place of a stale version. Returns how to end that. */
  subscribe(listener: ReplacementListener): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  #namesBelow(prefix: ObjectPrefix | undefined): string[] {
    const originId = this.#options.source.id;
    return [...this.#answers.names()].filter((name) => {
      const { bucket, key } = locationOf(name);
      return isBelow(prefix, { originId, bucket, objectKey: key });
    });
  }

  #isConfirmed(timed: TimedAnswer<LookupResult>): boolean {
    return timed.refreshedMs + this.#refreshedForMs > this.#options.clock.monotonic();
  }

  #fresh(name: string): TimedAnswer<LookupResult> | undefined {
    const timed = this.#answers.fresh(name);
    return timed && this.#counted(timed);
  }

  #counted(timed: TimedAnswer<LookupResult>): TimedAnswer<LookupResult> {
    if (timed.answer.kind === "found") this.stats.hits += 1;
    else this.stats.negativeHits += 1;
    return timed;
  }

  async #find(location: ObjectLocation, name: string): Promise<TimedAnswer<LookupResult>> {
    return this.#fresh(name) ?? this.#answers.ask(name, () => this.#ask(location, name));
  }

  async #revalidate(
    location: ObjectLocation,
    name: string,
    contradictedEtag: string,
  ): Promise<TimedAnswer<LookupResult>> {
    const known = this.#answers.fresh(name);
    if (known === undefined) return this.#find(location, name);
    if (etagOf(known.answer) !== contradictedEtag) return known;
    return this.#revalidations.revalidate(name, known, () => this.#ask(location, name, known, false));
  }

  /** With `kept`, whether that is still so: for a refresh, else because it is contradicted. */
  async #ask(
    location: ObjectLocation,
    name: string,
    kept?: TimedAnswer<LookupResult>,
    isRefresh = false,
  ): Promise<Reply<LookupResult>> {
    const { source, ttlMs, negativeTtlMs } = this.#options;
    const staleEtag = this.#staleMarkers.staleEtag(name);
    const contradictedEtag = kept && !isRefresh ? etagOf(kept.answer) : undefined;
    const believedMs = this.#staleMarkers.believedMs(name);
    const { head, remainingMs } = await source.head(location, { staleEtag, contradictedEtag, isRefresh });
    const answer = this.#resultOf(location, head, kept?.answer);
    if (staleEtag !== "") {
      this.#staleMarkers.answered(name, staleEtag);
      this.#settle(location, staleEtag, answer);
    }
    if (contradictedEtag !== undefined) this.#settle(location, contradictedEtag, answer);
    const freshMs = answer.kind === "found" ? ttlMs : negativeTtlMs;
    if (remainingMs === undefined) return { answer, freshMs };
    return { answer, freshMs: Math.min(freshMs, remainingMs, believedMs) };
  }

  #settle(location: ObjectLocation, doubtedEtag: string, answer: LookupResult): void {
    // With a TTL of 0 nobody has kept what would have to be forgotten.
    if (etagOf(answer) === doubtedEtag || this.#options.ttlMs === 0) return;
    for (const listener of this.#listeners) listener(location, doubtedEtag);
  }

  /** Where nothing has changed it is `kept` itself, with all that hangs on it. */
  #resultOf(
    location: ObjectLocation,
    head: ObjectHead | OrcaError,
    kept: LookupResult | undefined,
  ): LookupResult {
    if (kept && isSame(kept, head)) return kept;
    const name = entryName(location);
    if (head instanceof OrcaError) {
      this.#supersede(name, undefined);
      return { kind: "refused", error: head };
    }
    const version = new ObjectVersion({
      originId: this.#options.source.id,
      bucket: location.bucket,
      objectKey: location.key,
      etag: head.etag,
      sizeBytes: head.sizeBytes,
      chunkSizeBytes: chunkSizeFor(head.sizeBytes, this.#options.chunkTiers),
    });
    this.#supersede(name, version);
    return { kind: "found", record: { version, head } };
  }

  #supersede(name: string, version: ObjectVersion | undefined): void {
    const last = this.#lastVersions.peek(name);
    if (version) this.#lastVersions.set(name, version);
    else this.#lastVersions.delete(name);
    if (last && last.hash !== version?.hash) this.#options.onSuperseded?.(last);
  }
}

/** Bucket names hold no NUL, so no two locations share a name. */
function entryName(location: ObjectLocation): string {
  return `${location.bucket}\0${location.key}`;
}

function locationOf(name: string): ObjectLocation {
  const bucketEnd = name.indexOf("\0");
  return { bucket: name.slice(0, bucketEnd), key: name.slice(bucketEnd + 1) };
}

/** Empty where there is no version that could be served. */
function etagOf(result: LookupResult): string {
  return result.kind === "found" ? result.record.version.etag : "";
}

function isSame(kept: LookupResult, head: ObjectHead | OrcaError): boolean {
  if (head instanceof OrcaError) return kept.kind === "refused" && kept.error.code === head.code;
  if (kept.kind === "refused") return false;
  const { etag, sizeBytes, lastModifiedMs } = kept.record.head;
  return head.etag === etag && head.sizeBytes === sizeBytes && head.lastModifiedMs === lastModifiedMs;
}
