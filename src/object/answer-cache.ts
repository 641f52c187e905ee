/**
 * Caches the answers of a source by name while they are fresh, and sends one question per name at a time. Directories of
 * objects and caches of listings are built on it. Freshness counts from the moment when the question was sent, because
 * the answer may be as old as that, however late it arrives.
 *
 * Invariants:
 * 1. A cached answer is fresh, or is dropped at the next access or the next sweep. One with `keptMs` is dropped that much
 *    later, and is no answer of {@link AnswerCache.fresh} or {@link AnswerCache.ask} meanwhile.
 * 2. At most one question per name is in flight and open to joiners. It closes when its name is dropped, or `joinMs`
 *    after it was sent: from then on its answer may predate a change that the next caller must see. Such an answer goes
 *    to the callers that already wait, and is not cached.
 * 3. A joiner never gets an answer that was stale when it joined. Another replica's answer can be: (a) the replica sends
 *    an answer with little freshness left; (b) that time passes; (c) a caller joins here; (d) the answer arrives.
 * 4. Errors are never cached.
 * 5. A cached answer may be renewed before it expires. The new answer replaces only the entry that it renews. If that
 *    entry was dropped or replaced meanwhile, the new answer goes only to the callers that wait.
 */
import type { Clock } from "../base/clock.ts";
import { LruMap } from "../base/lru-map.ts";
import type { Swept } from "./freshness/sweep.ts";
import type { HeapShare } from "./heap-share.ts";

export interface TimedAnswer<Answer> {
  readonly answer: Answer;
  /** Grows when a renewal returns the same answer. */
  expiresMs: number;
  /** From here on `onDue` learns of each use, or the entry has expired. At most `expiresMs`. */
  dueMs: number;
  /** At least `expiresMs`. In between the entry is no answer, but {@link AnswerCache.kept} still finds it. */
  keptUntilMs: number;
  /** When the last question was sent that returned this answer. */
  refreshedMs: number;
}

/** An answer, and how long it is fresh, counted from when the question was sent. */
export interface Reply<Answer> {
  readonly answer: Answer;
  /** 0: the answer serves only the callers that wait. */
  readonly freshMs: number;
  /** How long before the end of `freshMs` `onDue` learns of uses. None by default. */
  readonly aheadMs?: number;
  /** How long the entry is kept after `freshMs`. Not at all by default. */
  readonly keptMs?: number;
}

export interface AnswerCacheOptions<Answer> {
  readonly clock: Clock;
  /** How long callers may join the question for a name after it was sent. 0: not at all. */
  readonly joinMs: (name: string) => number;
  /** Called for each use of a fresh entry that is due. */
  readonly onDue?: (name: string, timed: TimedAnswer<Answer>) => void;
  readonly entriesMax: number;
  /** What an entry weighs. One that weighs more than `weightMax` is not cached, however fresh. By default each weighs 1. */
  readonly weigh?: (name: string, answer: Answer) => number;
  /** Of all entries together. Unbounded by default. */
  readonly weightMax?: number;
  /** Bounds the entries of several caches together. Then an entry weighs the bytes that it takes on the heap. */
  readonly heap?: HeapShare | undefined;
  /** Called when the entry of a name is dropped, replaced or evicted, and when there is a first one. */
  readonly onChange?: ((name: string) => void) | undefined;
  /** Whether a copy of the entry was used elsewhere since the last call. */
  readonly wasUsedElsewhere?: ((name: string) => boolean) | undefined;
  /** The owner's counters, which are incremented here. */
  readonly stats: { misses: number; joins: number };
}

interface Question<Answer> extends PromiseWithResolvers<TimedAnswer<Answer>> {
  readonly sentMs: number;
  readonly requestId: string;
}

export class AnswerCache<Answer> implements Swept {
  readonly #options: AnswerCacheOptions<Answer>;
  readonly #kept: LruMap<string, TimedAnswer<Answer>>;
  readonly #questions = new Map<string, Question<Answer>>();

  constructor(options: AnswerCacheOptions<Answer>) {
    this.#options = options;
    const { entriesMax, weightMax = Infinity, heap, onChange, wasUsedElsewhere } = options;
    const evicts = onChange && { onEvict: (_: TimedAnswer<Answer>, name: string) => onChange(name) };
    const marks = { marksUses: true, wasUsedElsewhere };
    this.#kept = new LruMap({ entriesMax, weightMax, shared: heap, ...marks, ...evicts });
  }

  get size(): number {
    return this.#kept.size;
  }

  /** Of all entries. */
  get weight(): number {
    return this.#kept.weight;
  }

  /** The names of all entries and of all questions in flight. */
  names(): Set<string> {
    return new Set([...this.#kept.keys(), ...this.#questions.keys()]);
  }

  /** The entry, fresh or not. The eviction order does not change. */
  kept(name: string): TimedAnswer<Answer> | undefined {
    return this.#kept.peek(name);
  }

  /** Whether a question is in flight that the next caller would join. */
  isAsking(name: string): boolean {
    const running = this.#questions.get(name);
    return (
      running !== undefined && this.#options.clock.monotonic() - running.sentMs < this.#options.joinMs(name)
    );
  }

  /** The entry if it is fresh. This is a use: the entry is evicted after those that were not used. */
  fresh(name: string): TimedAnswer<Answer> | undefined {
    const timed = this.#kept.get(name);
    if (timed === undefined) return undefined;
    const nowMs = this.#options.clock.monotonic();
    if (timed.dueMs > nowMs) return timed;
    if (timed.expiresMs > nowMs) {
      this.#options.onDue?.(name, timed);
      return timed;
    }
    if (timed.keptUntilMs <= nowMs) this.#kept.delete(name);
    return undefined;
  }

  /** The entry if it is kept after its end. This is not a use. */
  expired(name: string): TimedAnswer<Answer> | undefined {
    const timed = this.#kept.peek(name);
    const nowMs = this.#options.clock.monotonic();
    return timed && timed.expiresMs <= nowMs && timed.keptUntilMs > nowMs ? timed : undefined;
  }

  /**
   * Answers a name without a fresh entry: joins the question in flight, or sends a new one for `requestId`. `onJoin`
   * receives the id of the request that it joins.
   */
  async ask(
    name: string,
    send: () => Promise<Reply<Answer>>,
    requestId = "",
    onJoin?: (leaderId: string) => void,
  ): Promise<TimedAnswer<Answer>> {
    const askedMs = this.#options.clock.monotonic();
    const running = this.#questions.get(name);
    if (!running || askedMs - running.sentMs >= this.#options.joinMs(name))
      return this.#send(name, send, requestId);
    this.#options.stats.joins += 1;
    onJoin?.(running.requestId);
    const joined = await running.promise;
    if (joined.expiresMs > askedMs) return joined;
    // Any question in flight, or entry, that exists now was sent after `askedMs`.
    return this.fresh(name) ?? this.#questions.get(name)?.promise ?? this.#send(name, send, requestId);
  }

  /** Asks again about `kept`, which stays cached until the answer arrives. The same answer extends `kept` in place. */
  async renew(
    name: string,
    kept: TimedAnswer<Answer>,
    send: () => Promise<Reply<Answer>>,
  ): Promise<TimedAnswer<Answer>> {
    const sentMs = this.#options.clock.monotonic();
    const timed = timedBy(await send(), sentMs);
    if (timed.answer === kept.answer) {
      const wasAskedAhead = kept.dueMs === kept.expiresMs;
      // An entry that was asked about ahead, and did not get more time, is not asked about again.
      const isDueAgain = !wasAskedAhead || timed.dueMs > this.#options.clock.monotonic();
      Object.assign(kept, timed, !isDueAgain && { dueMs: timed.expiresMs });
      return kept;
    }
    if (this.#kept.peek(name) === kept) this.#keep(name, timed);
    return timed;
  }

  /** Deletes the entry if it is kept after its end. */
  dropExpired(name: string): void {
    if (this.expired(name)) this.#kept.delete(name);
  }

  /** Deletes the entry. Answers to questions sent before now will not be cached. */
  drop(name: string): void {
    this.#kept.delete(name);
    this.#questions.delete(name);
    this.#options.onChange?.(name);
  }

  /** For a sweep. */
  sweptNames(): IterableIterator<string> {
    return this.#kept.anyKeys();
  }

  /** Deletes the entry if its time is over. */
  dropIfStale(name: string): void {
    const timed = this.#kept.peek(name);
    if (timed && timed.keptUntilMs <= this.#options.clock.monotonic()) this.#kept.delete(name);
  }

  /** How much longer an answer is fresh, in whole milliseconds. */
  remainingMs(timed: TimedAnswer<Answer>): number {
    return Math.max(0, Math.floor(timed.expiresMs - this.#options.clock.monotonic()));
  }

  #send(name: string, send: () => Promise<Reply<Answer>>, requestId: string): Promise<TimedAnswer<Answer>> {
    const { clock, stats } = this.#options;
    stats.misses += 1;
    const question: Question<Answer> = {
      ...Promise.withResolvers<TimedAnswer<Answer>>(),
      sentMs: clock.monotonic(),
      requestId,
    };
    this.#questions.set(name, question);
    void this.#run(name, question, send);
    return question.promise;
  }

  async #run(name: string, question: Question<Answer>, send: () => Promise<Reply<Answer>>): Promise<void> {
    const isCurrent = (): boolean => this.#questions.get(name) === question;
    try {
      const timed = timedBy(await send(), question.sentMs);
      if (isCurrent()) this.#keep(name, timed);
      question.resolve(timed);
    } catch (thrown) {
      question.reject(thrown);
    } finally {
      if (isCurrent()) this.#questions.delete(name);
    }
  }

  /** Replaces the entry. An answer that is stale by now or too heavy only deletes it. */
  #keep(name: string, timed: TimedAnswer<Answer>): void {
    const { clock, weigh, weightMax = Infinity } = this.#options;
    const weight = weigh?.(name, timed.answer) ?? 1;
    this.#options.onChange?.(name);
    if (timed.expiresMs > clock.monotonic() && weight <= weightMax) this.#kept.set(name, timed, weight);
    else this.#kept.delete(name);
  }
}

function timedBy<Answer>(
  { answer, freshMs, aheadMs = 0, keptMs = 0 }: Reply<Answer>,
  sentMs: number,
): TimedAnswer<Answer> {
  const expiresMs = sentMs + freshMs;
  // Of an immutable answer, `freshMs` has no end.
  const dueMs = freshMs === Infinity ? expiresMs : expiresMs - aheadMs;
  return { answer, expiresMs, dueMs, keptUntilMs: expiresMs + keptMs, refreshedMs: sentMs };
}
