/**
 * Asks again about entries that are used shortly before they expire, so that the readers of a hot object never wait for a
 * HEAD. Nobody waits for the answer, except a peer that asks for the same reason: (1) replica B uses its entry in the
 * last part of its TTL, and asks the coordinator C; (2) C's entry ends at about the same time, so C asks the origin;
 * (3) other replicas ask C meanwhile, and wait for the same answer; (4) all of them get the new remaining TTL. A replica
 * that asks after (4) gets it at once.
 *
 * Invariants:
 * 1. An entry is asked about ahead only when it is used, and at most once in its time.
 * 2. At most {@link aheadMax} questions of a directory are in flight. Above that, a later use asks.
 * 3. A failure changes nothing: the entry expires when it would have.
 */
import type { Clock } from "../../base/clock.ts";
import type { AnswerCache, Reply, TimedAnswer } from "../answer-cache.ts";
import type { Lifetime } from "./lifetimes.ts";
import { refreshMs } from "./revalidations.ts";

/** Questions of one directory. */
export const aheadMax = 64;

export class RefreshAhead<Answer> {
  readonly stats = { answered: 0, failed: 0 };
  readonly #clock: Clock;
  readonly #answers: AnswerCache<Answer>;
  readonly #ask: (name: string, timed: TimedAnswer<Answer>) => Promise<Reply<Answer>>;
  readonly #running = new Map<TimedAnswer<Answer>, Promise<void>>();

  /** `ask` asks whether an entry of `answers` is still right. */
  constructor(
    clock: Clock,
    answers: AnswerCache<Answer>,
    ask: (name: string, timed: TimedAnswer<Answer>) => Promise<Reply<Answer>>,
  ) {
    this.#clock = clock;
    this.#answers = answers;
    this.#ask = ask;
  }

  /** Asks about an entry that is used and due. */
  start(name: string, timed: TimedAnswer<Answer>): void {
    if (this.#running.size >= aheadMax) return;
    timed.dueMs = timed.expiresMs;
    this.#running.set(timed, this.#run(name, timed));
  }

  /**
   * For a peer that asks ahead: returns when the entry was renewed, or need not be, or cannot be. The peer's copy ends a
   * message earlier than the entry itself, so the entry counts as due a little earlier here.
   */
  async renewed(name: string, { ttlMs, refreshAhead = 0 }: Lifetime): Promise<void> {
    const timed = this.#answers.fresh(name);
    if (timed === undefined) return;
    // Never so early that a question of a moment ago would be repeated.
    const slackMs = Math.min(refreshMs, (ttlMs * (1 - refreshAhead)) / 2);
    const isDue = timed.dueMs - slackMs <= this.#clock.monotonic();
    if (isDue && timed.dueMs < timed.expiresMs) this.start(name, timed);
    await this.#running.get(timed);
  }

  async #run(name: string, timed: TimedAnswer<Answer>): Promise<void> {
    try {
      await this.#answers.renew(name, timed, () => this.#ask(name, timed));
      this.stats.answered += 1;
    } catch {
      this.stats.failed += 1;
    } finally {
      this.#running.delete(timed);
    }
  }
}
