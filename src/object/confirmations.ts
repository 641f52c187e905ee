/**
 * Questions about what a directory keeps and would still be fresh: is it what others see, too? They never take anything
 * away. What is kept is used until there is another answer, and where nobody can be asked it is used on.
 *
 * A *refresh* asks the coordinator what it believes, for a reader who must agree with those at other replicas. A *contest*
 * comes from a client that claims to know better, and goes on to the origin where the coordinator believes the same. The
 * client may be wrong or mean no good, so a contest's outcome stands for a while, and counts for all who come meanwhile.
 *
 * Invariants:
 * 1. One refresh and one contest of an entry are in flight at most, and joined by all who ask meanwhile.
 * 2. A refresh fails nobody and holds nobody up for more than {@link confirmMs}: then the entry is taken for confirmed.
 *    While the late answer is on its way nobody waits for it, or starts another.
 * 3. With a pause, contests of one entry are sent at least that far apart, failed ones included. An entry that was
 *    replaced was contested with reason: the one in its place is contested anew.
 */
import type { Clock } from "../base/clock.ts";
import type { AnswerCache, Reply, TimedAnswer } from "./answer-cache.ts";

/** How long a coordinator's word is good for reads in parts, and how seldom the origin is asked about an ETag in vain. */
export const confirmMs = 1000;

export interface ConfirmationsOptions<Answer> {
  readonly clock: Clock;
  readonly answers: AnswerCache<Answer>;
  /** How long a contest's outcome stands after it was sent. 0: only while it is in flight. */
  readonly contestPauseMs: number;
  /** Counted here: the owner's own counters. */
  readonly stats: { refreshes: number; contests: number };
}

interface Contest<Answer> {
  readonly sentMs: number;
  readonly outcome: Promise<TimedAnswer<Answer>>;
  isOpen: boolean;
}

export class Confirmations<Answer> {
  readonly #options: ConfirmationsOptions<Answer>;
  /** Under the entries themselves, and gone with them. */
  readonly #refreshes = new WeakMap<TimedAnswer<Answer>, Promise<TimedAnswer<Answer>>>();
  readonly #contests = new WeakMap<TimedAnswer<Answer>, Contest<Answer>>();

  constructor(options: ConfirmationsOptions<Answer>) {
    this.#options = options;
  }

  /** What the coordinator says now, or `kept` where it cannot say. */
  refresh(
    name: string,
    kept: TimedAnswer<Answer>,
    send: () => Promise<Reply<Answer>>,
  ): Promise<TimedAnswer<Answer>> {
    const running = this.#refreshes.get(kept);
    if (running) return running;
    this.#options.stats.refreshes += 1;
    const started = Promise.withResolvers<TimedAnswer<Answer>>();
    this.#refreshes.set(kept, started.promise);
    void this.#refresh(name, kept, send, started.resolve);
    return started.promise;
  }

  /** What is found out about `kept`, which somebody contradicts. @throws OrcaError where nobody could be asked. */
  contest(
    name: string,
    kept: TimedAnswer<Answer>,
    send: () => Promise<Reply<Answer>>,
  ): Promise<TimedAnswer<Answer>> {
    const { clock, answers, contestPauseMs, stats } = this.#options;
    const last = this.#contests.get(kept);
    const sentMs = clock.monotonic();
    if (last && (last.isOpen || sentMs - last.sentMs < contestPauseMs)) return last.outcome;
    stats.contests += 1;
    const contest: Contest<Answer> = { sentMs, outcome: answers.renew(name, kept, send), isOpen: true };
    const close = (): void => {
      contest.isOpen = false;
    };
    contest.outcome.then(close, close);
    this.#contests.set(kept, contest);
    return contest.outcome;
  }

  async #refresh(
    name: string,
    kept: TimedAnswer<Answer>,
    send: () => Promise<Reply<Answer>>,
    settle: (timed: TimedAnswer<Answer>) => void,
  ): Promise<void> {
    const { clock, answers } = this.#options;
    const deadline = clock.timer(confirmMs, () => {
      kept.confirmedMs = Number.POSITIVE_INFINITY;
      settle(kept);
    });
    try {
      settle(await answers.renew(name, kept, send));
    } catch {
      kept.confirmedMs = clock.monotonic();
      settle(kept);
    } finally {
      deadline.cancel();
      this.#refreshes.delete(kept);
    }
  }
}
