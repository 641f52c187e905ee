/**
 * The cache of object metadata for one origin: size, ETag and the headers that a client must receive. It decides which
 * version a request reads, so its TTLs are the only source of staleness in Orca.
 *
 * In a cluster of one, its source is the origin, and it answers clients. In a larger cluster each replica has two. The
 * authority, with the origin as its source, answers for the objects that this replica coordinates. The directory in
 * front of it, with the cluster as its source (cluster-heads.ts), answers clients.
 *
 * Invariants, in addition to those of {@link AnswerCache}:
 * 1. An entry expires at most `ttlMs` after its HEAD was *sent*, on every replica. So a change at the origin is visible
 *    at most one TTL later. The remaining TTL that a coordinator sends is counted from when this replica asked, so it
 *    never lasts too long. Objects that are said to be immutable have no TTL (freshness/lifetimes.ts).
 * 2. A version that is found to be stale is forgotten at once, and the next question carries its ETag.
 * 3. Negative entries are facts about the object: it is absent, has no ETag, or is not supported.
 * 4. What it keeps is bounded in number and in bytes: entries, stale markers and last versions. Whatever is expired is
 *    released by a sweep, whether or not somebody asks for it.
 * 5. A fresh entry may differ from those of other replicas. {@link Directory.lookupRefreshed} is for callers that must
 *    agree with other replicas, {@link Directory.revalidate} for callers whose client contradicts the entry. Neither
 *    drops the entry.
 */
import { isBelow, type ObjectPrefix } from "../chunk/object-prefix.ts";
import type { ObjectVersion } from "../chunk/object-version.ts";
import type { FirstBytes, ObjectLocation } from "../origin/origin.ts";
import type { Asker } from "../trace/trace.ts";
import { AnswerCache, type Reply, type TimedAnswer } from "./answer-cache.ts";
import type { DirectoryOptions } from "./directory-options.ts";
import { DirectoryTrace } from "./directory-trace.ts";
import { beliefOf, type MetadataBelief } from "./explaining/metadata-belief.ts";
import { Lifetimes, timesOf } from "./freshness/lifetimes.ts";
import { RefreshAhead } from "./freshness/refresh-ahead.ts";
import { Revalidations, refreshMs } from "./freshness/revalidations.ts";
import type { AnswerLease } from "./freshness/revocations.ts";
import { StaleAnswers } from "./freshness/stale-answers.ts";
import { StaleMarkers } from "./freshness/stale-markers.ts";
import { Sweep } from "./freshness/sweep.ts";
import type { AskOptions } from "./heads/head-source.ts";
import type { ObjectLookups } from "./object-lookups.ts";
import type { PeerHeadAnswer } from "./object-peers.ts";
import { entryBytes, etagOf, type LookupResult } from "./object-record.ts";
import { SeenVersions } from "./seen-versions.ts";
import { entryName, locationOf } from "./versions/entry-name.ts";

/** Called when an object no longer has `staleEtag` (empty: an error in its place). Other replicas may still cache it. */
export type ReplacementListener = (location: ObjectLocation, staleEtag: string) => void;

export class Directory implements ObjectLookups {
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
  readonly #lifetimes: Lifetimes;
  readonly #answers: AnswerCache<LookupResult>;
  readonly #revalidations: Revalidations<LookupResult>;
  readonly #ahead: RefreshAhead<LookupResult>;
  readonly #stale: StaleAnswers;
  /** How long an answer counts as refreshed. */
  readonly #refreshedForMs: number;
  readonly #staleMarkers: StaleMarkers;
  readonly #seen: SeenVersions;
  readonly #sweep: Sweep;
  readonly #trace: DirectoryTrace;
  readonly #listeners = new Set<ReplacementListener>();

  constructor(options: DirectoryOptions) {
    this.#options = options;
    const { source, clock, entriesMax, heap, revocations } = options;
    const { stats } = this;
    this.#lifetimes = new Lifetimes(options, options.lifetimePlaces);
    const joinMs = (name: string): number => this.#lifetimes.of(locationOf(name)).ttlMs;
    const answers = new AnswerCache<LookupResult>({
      clock,
      joinMs,
      onDue: (name, timed) => this.#ahead.start(name, timed),
      entriesMax,
      weigh: entryBytes,
      heap,
      onChange: revocations && ((name) => revocations.revoke(name)),
      wasUsedElsewhere: revocations && ((name) => revocations.takeUse(name)),
      stats,
    });
    this.#answers = answers;
    this.#ahead = new RefreshAhead(clock, answers, (name, timed) =>
      this.#ask(locationOf(name), name, undefined, { kept: timed, isRefresh: true, isAhead: true }),
    );
    this.#stale = new StaleAnswers(options, answers, this.#lifetimes, (location, name, asker, firstBytes) =>
      this.#find(location, name, asker, firstBytes),
    );
    // A question to another replica is cheap, and that replica has a pause of its own. The pause spares the origin.
    const revalidationPauseMs = source.isOrigin ? refreshMs : 0;
    this.#revalidations = new Revalidations({ clock, answers, revalidationPauseMs, stats });
    this.#refreshedForMs = source.isOrigin ? Number.POSITIVE_INFINITY : refreshMs;
    this.#staleMarkers = new StaleMarkers(clock, entriesMax, heap);
    this.#seen = new SeenVersions(options);
    this.#sweep = new Sweep(clock, this.#lifetimes.ttlMsMin, [answers, this.#staleMarkers]);
    this.#trace = new DirectoryTrace(options.trace, source.id);
  }

  get originId(): string {
    return this.#options.source.id;
  }

  get size(): number {
    return this.#answers.size;
  }

  /** Of questions before an entry expires, and of answers after that. */
  get freshness() {
    return { ahead: this.#ahead.stats, stale: this.#stale.stats };
  }

  /** What the directory takes on the heap. */
  get bytes(): number {
    return this.#answers.weight + this.#staleMarkers.bytes + this.#seen.bytes;
  }

  /** Ends the sweeps. */
  close(): void {
    this.#sweep.close();
  }

  /** The fresh entry, if there is one. Does not ask the source. */
  peek(location: ObjectLocation, asker?: Asker): LookupResult | undefined {
    return this.#fresh(location, entryName(location), asker)?.answer;
  }

  /** Like {@link peek}, but only an entry that {@link lookupRefreshed} would return at once. */
  peekRefreshed(location: ObjectLocation, asker?: Asker): LookupResult | undefined {
    const timed = this.#answers.fresh(entryName(location));
    return timed && this.#isRefreshed(timed) ? this.#counted(timed, location, asker).answer : undefined;
  }

  /**
   * The fresh entry, or the source's answer. `firstBytes` are those that the caller wants of an object that is not known.
   * @throws OrcaError if the source fails.
   */
  async lookup(location: ObjectLocation, asker?: Asker, firstBytes?: FirstBytes): Promise<LookupResult> {
    const name = entryName(location);
    return (await this.#stale.find(location, name, asker, firstBytes)).answer;
  }

  /**
   * Like {@link lookup}, for the first request of a read in parts: later parts may go through other replicas. The answer
   * is at most {@link refreshMs} old, or it is the cached one if the source fails.
   */
  async lookupRefreshed(
    location: ObjectLocation,
    asker?: Asker,
    firstBytes?: FirstBytes,
  ): Promise<LookupResult> {
    const name = entryName(location);
    const known = this.#fresh(location, name, asker);
    if (known === undefined) return (await this.#stale.find(location, name, asker, firstBytes)).answer;
    if (this.#isRefreshed(known)) return known.answer;
    const timed = await this.#revalidations.refresh(name, known, () =>
      this.#ask(location, name, asker, { kept: known, isRefresh: true }),
    );
    // The source failed, and meanwhile the entry was dropped or replaced, because it is stale.
    const isForgotten = timed === known && this.#answers.kept(name) !== known;
    return (isForgotten ? await this.#find(location, name, asker) : timed).answer;
  }

  /**
   * The answer after a client's precondition contradicted `contradicted`. If another answer is cached, it is returned.
   * Otherwise one question at a time goes to the source, and to an origin at most one per {@link refreshMs} while its
   * answer stays the same. Calls in between get the last outcome.
   * @throws OrcaError if the source fails.
   */
  async revalidate(
    location: ObjectLocation,
    contradicted: LookupResult,
    asker?: Asker,
  ): Promise<LookupResult> {
    // Nothing is cached, so `contradicted` is the source's answer to this very request.
    if (this.#lifetimes.of(location).ttlMs === 0) return contradicted;
    return (await this.#revalidate(location, entryName(location), etagOf(contradicted), asker)).answer;
  }

  /**
   * Like {@link lookup}, for another replica. An entry with `staleEtag` is no answer, and one with `contradictedEtag`
   * is an answer only after a revalidation. With `isAhead`, an entry that ends soon is renewed first.
   * @throws OrcaError if the source fails.
   */
  async answer(
    location: ObjectLocation,
    staleEtag: string,
    contradictedEtag: string | undefined,
    asker?: Asker,
    firstBytes?: FirstBytes,
    isAhead = false,
  ): Promise<PeerHeadAnswer> {
    if (staleEtag !== "") this.forget(location, staleEtag);
    const name = entryName(location);
    if (isAhead) await this.#ahead.renewed(name, this.#lifetimes.of(location));
    const timed = await (contradictedEtag === undefined
      ? this.#stale.find(location, name, asker, firstBytes)
      : this.#revalidate(location, name, contradictedEtag, asker));
    // An answer that was dropped while its HEAD was in flight serves only the callers that waited for it.
    const isKept = this.#answers.kept(name) === timed;
    const { answer } = timed;
    return {
      head: answer.kind === "found" ? answer.record.head : answer.error,
      remainingMs: isKept ? this.#answers.remainingMs(timed) : 0,
      ...(answer.kind === "found" && answer.record.stale && { staleAgeMs: answer.record.stale.ageMs }),
    };
  }

  /**
   * How long another thread may use a copy of `found`, which a look-up has just returned. Undefined where it is not, or no
   * longer, the entry. A copy ends when the entry is due, so that the thread asks and the entry is renewed ahead.
   */
  leaseOf(location: ObjectLocation, found: LookupResult): AnswerLease | undefined {
    const { clock, revocations } = this.#options;
    const name = entryName(location);
    const timed = this.#answers.kept(name);
    if (revocations === undefined || timed?.answer !== found) return undefined;
    const nowMs = clock.monotonic();
    const endMs = timed.dueMs > nowMs ? timed.dueMs : Math.min(timed.expiresMs, nowMs + refreshMs);
    // While a refresh is late, its entry counts as refreshed without an end. The thread does not learn when it arrives.
    const refreshedMs = Math.min(timed.refreshedMs, nowMs) + this.#refreshedForMs - nowMs;
    return { freshMs: endMs - nowMs, refreshedMs, number: revocations.numberAt(revocations.wordOf(name)) };
  }

  /**
   * Drops the entry of an object because `etag` is no longer its ETag (empty: it had none). An entry with another ETag
   * stays, because another caller has looked again already. A look-up in flight stays, too, if it was sent with this
   * stale marker. Any other look-up in flight may return the same ETag again, so its answer will not be cached.
   */
  forget(location: ObjectLocation, etag: string): void {
    const name = entryName(location);
    const kept = this.#answers.kept(name)?.answer;
    if (kept && etagOf(kept) !== etag) return;
    // Nothing has been cached since the stale marker was set, and any look-up in flight was sent after that.
    if (!kept && this.#staleMarkers.staleEtag(name) === etag) return;
    this.#staleMarkers.foundStale(name, etag, this.#lifetimes.of(location).ttlMs);
    this.#sweep.later();
    this.#answers.drop(name);
    this.stats.forgotten += 1;
  }

  /** Drops the entry of an object, whatever it holds, because the object is known to have changed. */
  invalidate(location: ObjectLocation): void {
    const name = entryName(location);
    this.#staleMarkers.invalidated(name);
    this.#sweep.later();
    this.#answers.drop(name);
    this.stats.forgotten += 1;
  }

  /** The cached versions of all objects below `prefix`, or of all objects. */
  versions(prefix?: ObjectPrefix): ObjectVersion[] {
    return this.#namesBelow(prefix).flatMap((name) => {
      const answer = this.#answers.kept(name)?.answer;
      return answer?.kind === "found" ? [answer.record.version] : [];
    });
  }

  /** @see beliefOf */
  believes(location: ObjectLocation, firstBytes?: FirstBytes): MetadataBelief {
    const { clock, source } = this.#options;
    const parts = { answers: this.#answers, seen: this.#seen, clock, source };
    return beliefOf(parts, location, firstBytes);
  }

  /** Invalidates all objects below `prefix`, or all objects. Returns how many had an entry or a look-up in flight. */
  clear(prefix?: ObjectPrefix): number {
    const names = this.#namesBelow(prefix);
    for (const name of names) this.invalidate(locationOf(name));
    return names.length;
  }

  /** Calls `listener` after each look-up that finds a stale answer replaced. Returns a function that unsubscribes it. */
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

  #isRefreshed(timed: TimedAnswer<LookupResult>): boolean {
    const endMs = timed.refreshedMs + this.#refreshedForMs;
    return endMs === Number.POSITIVE_INFINITY || endMs > this.#options.clock.monotonic();
  }

  #fresh(
    location: ObjectLocation,
    name: string,
    asker: Asker | undefined,
  ): TimedAnswer<LookupResult> | undefined {
    const timed = this.#answers.fresh(name);
    return timed && this.#counted(timed, location, asker);
  }

  #counted(
    timed: TimedAnswer<LookupResult>,
    location: ObjectLocation,
    asker: Asker | undefined,
  ): TimedAnswer<LookupResult> {
    this.#trace.hit(location, asker, timed.answer);
    if (timed.answer.kind === "found") this.stats.hits += 1;
    else this.stats.negativeHits += 1;
    return timed;
  }

  async #find(
    location: ObjectLocation,
    name: string,
    asker: Asker | undefined,
    firstBytes?: FirstBytes,
  ): Promise<TimedAnswer<LookupResult>> {
    const known = this.#fresh(location, name, asker);
    if (known) return known;
    const opening = firstBytes && { firstBytes, lastVersion: this.#seen.lastOf(name, location) };
    const send = (): Promise<Reply<LookupResult>> => this.#ask(location, name, asker, { opening });
    return this.#answers.ask(name, send, asker?.requestId, (id) => this.#trace.join(location, asker, id));
  }

  async #revalidate(
    location: ObjectLocation,
    name: string,
    contradictedEtag: string,
    asker: Asker | undefined,
  ): Promise<TimedAnswer<LookupResult>> {
    const known = this.#answers.fresh(name);
    if (known === undefined) return this.#find(location, name, asker);
    if (etagOf(known.answer) !== contradictedEtag) return known;
    return this.#revalidations.revalidate(name, known, () =>
      this.#ask(location, name, asker, { kept: known }),
    );
  }

  async #ask(
    location: ObjectLocation,
    name: string,
    asker: Asker | undefined,
    { kept, isRefresh = false, isAhead = false, opening }: AskOptions,
  ): Promise<Reply<LookupResult>> {
    const { source } = this.#options;
    const lifetime = this.#lifetimes.of(location);
    const staleEtag = this.#staleMarkers.staleEtag(name);
    const contradictedEtag = kept && !isRefresh ? etagOf(kept.answer) : undefined;
    const ttlMaxMs = this.#staleMarkers.ttlMaxMs(name);
    const reason = isAhead ? "ahead" : isRefresh ? "refresh" : kept ? "revalidation" : "miss";
    this.#trace.ask(location, asker, source.isOrigin, reason);
    const question = { staleEtag, contradictedEtag, isRefresh, isAhead, ...(asker && { asker }), ...opening };
    const { head, remainingMs } = await source.head(location, question);
    const answer = this.#seen.resultOf(location, name, head, kept?.answer);
    this.#sweep.later();
    if (staleEtag !== "") {
      this.#staleMarkers.answered(name, staleEtag);
      this.#notifyReplaced(location, staleEtag, answer);
    }
    const askedEtag = isAhead && kept ? etagOf(kept.answer) : contradictedEtag;
    if (askedEtag !== undefined) this.#notifyReplaced(location, askedEtag, answer);
    return { answer, ...timesOf(lifetime, answer.kind === "found", remainingMs, ttlMaxMs) };
  }

  #notifyReplaced(location: ObjectLocation, staleEtag: string, answer: LookupResult): void {
    // With a TTL of 0, no replica has an entry to forget.
    if (etagOf(answer) === staleEtag || this.#lifetimes.of(location).ttlMs === 0) return;
    for (const listener of this.#listeners) listener(location, staleEtag);
  }
}
