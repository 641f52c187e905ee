/**
 * Answers with expired entries while the source fails (`metadata.stale_if_error`, RFC 5861). Only failures that pass
 * count: that the origin is unreachable, hangs, fails or throttles. What the origin says about the object or about Orca's
 * rights ends the use of an expired entry.
 *
 * During an outage few requests wait: (1) an entry expires, and the next request asks the source; (2) the source fails, so
 * this request, and all that joined it, get the expired entry; (3) for {@link pauseMs} others get it at once; (4) the next
 * one gets it at once, too, and the source is asked in the background; (5) if the source fails again, (3) follows, else
 * the entry is replaced. An entry that nobody has used for {@link outageMs} goes back to (1), because the source may have
 * recovered. Where {@link askingMax} questions are in flight at (4), the source has yet to answer those, and (3) follows.
 *
 * Invariants:
 * 1. An entry answers until `staleIfErrorMs` after its end, and only after a question about this very object has failed.
 * 2. An entry that was found to be wrong, or was invalidated, is dropped and answers nobody.
 * 3. Only clients that contradict nothing get it: a revalidation fails with the source.
 * 4. At most {@link askingMax} questions of a directory are in flight in the background. Clients do not wait for them, so
 *    nothing else would bound them while the source hangs, and they would take the turns of those that clients wait for.
 */
import type { Clock } from "../../base/clock.ts";
import { type ErrorCode, OrcaError } from "../../base/orca-error.ts";
import type { ChunkTier } from "../../chunk/chunk-layout.ts";
import type { FirstBytes, ObjectHead, ObjectLocation } from "../../origin/origin.ts";
import type { Asker } from "../../trace/trace.ts";
import type { AnswerCache, TimedAnswer } from "../answer-cache.ts";
import { type LookupResult, type ObjectRecord, versionOf } from "../object-record.ts";
import type { Lifetimes } from "./lifetimes.ts";

/** The source is asked again about an object this long after it failed. */
export const pauseMs = 1000;

/** How long after a failure the source counts as failing for an object. */
export const outageMs = 10_000;

/** Questions of one directory in the background. */
export const askingMax = 64;

const passing: ReadonlySet<ErrorCode> = new Set([
  "origin_unavailable",
  "origin_throttled",
  "overloaded",
  "peer_unavailable",
]);

/** The coordinator cannot ask the origin, and has an expired answer. */
export class ExpiredHead extends OrcaError {
  readonly head: ObjectHead;
  readonly ageMs: number;

  constructor(head: ObjectHead, ageMs: number, key: string) {
    const message = `Cannot ask about "${key}": the origin fails, and the coordinator's answer has expired`;
    super("origin_unavailable", "origin", message);
    this.head = head;
    this.ageMs = ageMs;
  }
}

/** Of a directory. */
export interface StaleAnswersOptions {
  readonly clock: Clock;
  readonly source: { readonly id: string };
  readonly chunkTiers: readonly ChunkTier[];
  /** Called for each answer. */
  readonly onStale?: ((error: OrcaError) => void) | undefined;
}

/** The fresh entry, or the source's answer. @throws OrcaError if the source fails. */
type Find = (
  location: ObjectLocation,
  name: string,
  asker: Asker | undefined,
  firstBytes?: FirstBytes,
) => Promise<TimedAnswer<LookupResult>>;

interface Failure {
  atMs: number;
  error: OrcaError;
  /** Whether a question in the background is in flight. */
  isAsking: boolean;
}

export class StaleAnswers {
  readonly stats = { answers: 0 };
  readonly #options: StaleAnswersOptions;
  readonly #answers: AnswerCache<LookupResult>;
  readonly #lifetimes: Lifetimes;
  readonly #find: Find;
  /** Weak keys: a failure is collected together with its entry. */
  readonly #failures = new WeakMap<TimedAnswer<LookupResult>, Failure>();
  /** Questions in the background. */
  #asking = 0;

  constructor(
    options: StaleAnswersOptions,
    answers: AnswerCache<LookupResult>,
    lifetimes: Lifetimes,
    find: Find,
  ) {
    this.#options = options;
    this.#answers = answers;
    this.#lifetimes = lifetimes;
    this.#find = find;
  }

  /** What `find` finds, or else an expired entry that may answer in its place. @throws OrcaError if there is none. */
  async find(
    location: ObjectLocation,
    name: string,
    asker: Asker | undefined,
    firstBytes: FirstBytes | undefined,
  ): Promise<TimedAnswer<LookupResult>> {
    const current = this.#current(location, name);
    if (current) return current;
    try {
      return await this.#find(location, name, asker, firstBytes);
    } catch (thrown) {
      return this.#after(location, name, thrown);
    }
  }

  /** The expired entry, while the source fails. It may be time to ask the source again, in the background. */
  #current(location: ObjectLocation, name: string): TimedAnswer<LookupResult> | undefined {
    const timed = this.#answers.expired(name);
    const failure = timed && this.#failures.get(timed);
    if (!failure) return undefined;
    const nowMs = this.#options.clock.monotonic();
    const sinceMs = nowMs - failure.atMs;
    if (!failure.isAsking && sinceMs >= outageMs) return undefined;
    if (!failure.isAsking && sinceMs >= pauseMs) {
      if (this.#asking < askingMax) void this.#askAgain(location, name, failure);
      else failure.atMs = nowMs;
    }
    return this.#stale(location, timed, failure.error);
  }

  /** The expired entry after a question has failed. @throws `thrown` where none may answer. */
  #after(location: ObjectLocation, name: string, thrown: unknown): TimedAnswer<LookupResult> {
    const timed = this.#failed(name, thrown);
    if (timed && thrown instanceof OrcaError) return this.#stale(location, timed, thrown);
    if (!(thrown instanceof ExpiredHead)) throw thrown;
    const { ttlMs, staleIfErrorMs = 0 } = this.#lifetimes.of(location);
    const expiredMs = thrown.ageMs - ttlMs;
    if (expiredMs > staleIfErrorMs || staleIfErrorMs === 0) throw thrown;
    const { source, chunkTiers } = this.#options;
    const record = { head: thrown.head, version: versionOf(source.id, location, thrown.head, chunkTiers) };
    return this.#answerOf(record, thrown.ageMs, Math.max(0, expiredMs), thrown);
  }

  /** Notes the failure of a question. The expired entry, if it may answer. */
  #failed(name: string, thrown: unknown): TimedAnswer<LookupResult> | undefined {
    const timed = this.#answers.expired(name);
    if (timed === undefined) return undefined;
    if (!(thrown instanceof OrcaError) || !passing.has(thrown.code)) {
      this.#answers.dropExpired(name);
      return undefined;
    }
    const atMs = this.#options.clock.monotonic();
    const failure = this.#failures.get(timed);
    if (failure) Object.assign(failure, { atMs, error: thrown });
    else this.#failures.set(timed, { atMs, error: thrown, isAsking: false });
    return timed;
  }

  async #askAgain(location: ObjectLocation, name: string, failure: Failure): Promise<void> {
    failure.isAsking = true;
    this.#asking += 1;
    try {
      await this.#find(location, name, undefined);
    } catch (thrown) {
      this.#failed(name, thrown);
    } finally {
      failure.isAsking = false;
      this.#asking -= 1;
    }
  }

  #stale(
    location: ObjectLocation,
    { answer, expiresMs }: TimedAnswer<LookupResult>,
    error: OrcaError,
  ): TimedAnswer<LookupResult> {
    if (answer.kind === "error") throw error;
    const expiredMs = this.#options.clock.monotonic() - expiresMs;
    // A replica does not know when its coordinator asked. A TTL before the end is no later than that.
    const ageMs = expiredMs + this.#lifetimes.of(location).ttlMs;
    return this.#answerOf(answer.record, ageMs, expiredMs, error);
  }

  /** Nothing caches it: its time is over. */
  #answerOf(
    { version, head }: ObjectRecord,
    ageMs: number,
    expiredMs: number,
    error: OrcaError,
  ): TimedAnswer<LookupResult> {
    this.stats.answers += 1;
    this.#options.onStale?.(error);
    const record = { version, head, headers: undefined, stale: { ageMs, expiredMs } };
    const answer: LookupResult = { kind: "found", record };
    return { answer, expiresMs: 0, dueMs: 0, keptUntilMs: 0, refreshedMs: 0 };
  }
}
