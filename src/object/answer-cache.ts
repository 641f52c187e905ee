/**
 * Keeps answers for as long as they are fresh, and asks each question once at a time: what directories of objects and
 * caches of listings have in common. Freshness is always counted from the moment a question was sent, because the
 * answer may be as old as that, however late it comes.
 *
 * Invariants:
 * 1. What is kept is fresh, or is dropped when it is next looked at.
 * 2. At most one question per name is in flight and may be joined. Where its name was dropped under it, or `joinMs` have
 *    passed since it was sent, its answer may be from before a change that the next one to ask must see: it is given to
 *    those who wait and to nobody else.
 * 3. Whoever joins gets nothing that was no longer fresh when they asked. Another replica's answer may be: (a) it sends
 *    one that is fresh for a moment more; (b) that moment passes; (c) somebody joins here; (d) the answer arrives.
 * 4. Errors are never kept.
 * 5. What is kept may be asked about again before it ends. That answer takes the place of the very entry it was asked
 *    about and of no other: where that one was dropped or replaced meanwhile, it is for those who wait.
 */
import type { Clock } from "../base/clock.ts";
import { LruMap } from "../base/lru-map.ts";

export interface TimedAnswer<Answer> {
  readonly answer: Answer;
  /** Later where the same answer was given again. */
  expiresMs: number;
  /** When the question was sent that this answered last. */
  refreshedMs: number;
}

/** An answer, and how long it is fresh from the moment on at which the question was sent. */
export interface Reply<Answer> {
  readonly answer: Answer;
  /** 0 is for those who wait and nobody else. */
  readonly freshMs: number;
}

export interface AnswerCacheOptions<Answer> {
  readonly clock: Clock;
  /** How long after it was sent a question may be joined. 0: nobody joins. */
  readonly joinMs: number;
  readonly entriesMax: number;
  /** What is not kept, however fresh. */
  readonly isTooLarge?: (answer: Answer) => boolean;
  /** Counted here: the owner's own counters. */
  readonly stats: { misses: number; joins: number };
}

interface Question<Answer> extends PromiseWithResolvers<TimedAnswer<Answer>> {
  readonly sentMs: number;
}

export class AnswerCache<Answer> {
  readonly #options: AnswerCacheOptions<Answer>;
  readonly #kept: LruMap<string, TimedAnswer<Answer>>;
  readonly #questions = new Map<string, Question<Answer>>();

  constructor(options: AnswerCacheOptions<Answer>) {
    this.#options = options;
    this.#kept = new LruMap({ entriesMax: options.entriesMax });
  }

  get size(): number {
    return this.#kept.size;
  }

  /** Of all that is kept, and of all questions in flight. */
  names(): Set<string> {
    return new Set([...this.#kept.keys(), ...this.#questions.keys()]);
  }

  /** What is kept, fresh or not; it is not used by that. */
  kept(name: string): TimedAnswer<Answer> | undefined {
    return this.#kept.peek(name);
  }

  /** What is kept and fresh, the most recently used now. */
  fresh(name: string): TimedAnswer<Answer> | undefined {
    const timed = this.#kept.get(name);
    if (timed === undefined || timed.expiresMs > this.#options.clock.monotonic()) return timed;
    this.#kept.delete(name);
    return undefined;
  }

  /** For what is not kept: the answer to the question in flight, else to the one that is sent now. */
  async ask(name: string, send: () => Promise<Reply<Answer>>): Promise<TimedAnswer<Answer>> {
    const askedMs = this.#options.clock.monotonic();
    const running = this.#questions.get(name);
    if (!running || askedMs - running.sentMs >= this.#options.joinMs) return this.#send(name, send);
    this.#options.stats.joins += 1;
    const joined = await running.promise;
    if (joined.expiresMs > askedMs) return joined;
    // Whatever is in flight or kept under this name by now was sent after `askedMs`.
    return this.fresh(name) ?? this.#questions.get(name)?.promise ?? this.#send(name, send);
  }

  /** Asks about `kept` again, which stays until the answer is there. The same answer prolongs the entry in its place. */
  async renew(
    name: string,
    kept: TimedAnswer<Answer>,
    send: () => Promise<Reply<Answer>>,
  ): Promise<TimedAnswer<Answer>> {
    const sentMs = this.#options.clock.monotonic();
    const { answer, freshMs } = await send();
    const expiresMs = sentMs + freshMs;
    if (answer === kept.answer) {
      kept.expiresMs = expiresMs;
      kept.refreshedMs = sentMs;
      return kept;
    }
    const timed: TimedAnswer<Answer> = { answer, expiresMs, refreshedMs: sentMs };
    if (this.#kept.peek(name) === kept) this.#keep(name, timed);
    return timed;
  }

  /** Forgets what is kept, and keeps nothing of what was asked before now. */
  drop(name: string): void {
    this.#kept.delete(name);
    this.#questions.delete(name);
  }

  /** What is left of an answer's freshness, in whole milliseconds. */
  remainingMs(timed: TimedAnswer<Answer>): number {
    return Math.max(0, Math.floor(timed.expiresMs - this.#options.clock.monotonic()));
  }

  #send(name: string, send: () => Promise<Reply<Answer>>): Promise<TimedAnswer<Answer>> {
    const { clock, stats } = this.#options;
    stats.misses += 1;
    const question: Question<Answer> = {
      ...Promise.withResolvers<TimedAnswer<Answer>>(),
      sentMs: clock.monotonic(),
    };
    this.#questions.set(name, question);
    void this.#run(name, question, send);
    return question.promise;
  }

  async #run(name: string, question: Question<Answer>, send: () => Promise<Reply<Answer>>): Promise<void> {
    const isCurrent = (): boolean => this.#questions.get(name) === question;
    try {
      const { answer, freshMs } = await send();
      const { sentMs } = question;
      const timed: TimedAnswer<Answer> = { answer, expiresMs: sentMs + freshMs, refreshedMs: sentMs };
      if (isCurrent()) this.#keep(name, timed);
      question.resolve(timed);
    } catch (thrown) {
      question.reject(thrown);
    } finally {
      if (isCurrent()) this.#questions.delete(name);
    }
  }

  /** In place of whatever was kept. */
  #keep(name: string, timed: TimedAnswer<Answer>): void {
    const { clock, isTooLarge } = this.#options;
    if (timed.expiresMs > clock.monotonic() && !isTooLarge?.(timed.answer)) this.#kept.set(name, timed);
    else this.#kept.delete(name);
  }
}
