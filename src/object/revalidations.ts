/**
 * Questions about what a directory keeps and would still be fresh: is it what others see, too? They never take anything
 * away. What is kept is used until there is another answer, and where nobody can be asked it is used on.
 *
 * A *refresh* asks the coordinator what it believes, for a reader who must agree with those at other replicas. A *revalidation*
 * comes from a client that claims to know better, and goes on to the origin where the coordinator believes the same. The
 * client may be wrong or mean no good, so a revalidation's outcome stands for a while, and counts for all who come meanwhile.
 *
 * Invariants:
 * 1. One refresh and one revalidation of an entry are in flight at most, and joined by all who ask meanwhile.
 * 2. A refresh fails nobody and holds nobody up for more than {@link refreshMs}: then the entry is taken for confirmed.
 *    While the late answer is on its way nobody waits for it, or starts another.
 * 3. With a pause, revalidations of one entry are sent at least that far apart, failed ones included. An entry that was
 *    replaced was contradicted with reason: the one in its place is contradicted anew.
 */
import type { Clock } from "../base/clock.ts";
import type { AnswerCache, Reply, TimedAnswer } from "./answer-cache.ts";

/** How long a coordinator's word is good for reads in parts, and how seldom the origin is asked about an ETag in vain. */
export const refreshMs = 1000;

export interface RevalidationsOptions<Answer> {
  readonly clock: Clock;
  readonly answers: AnswerCache<Answer>;
  /** How long a revalidation's outcome stands after it was sent. 0: only while it is in flight. */
  readonly revalidationPauseMs: number;
  /** Counted here: the owner's own counters. */
  readonly stats: { refreshes: number; revalidations: number };
}

interface Revalidation<Answer> {
  readonly sentMs: number;
  readonly outcome: Promise<TimedAnswer<Answer>>;
  isOpen: boolean;
}

export class Revalidations<Answer> {
  readonly #options: RevalidationsOptions<Answer>;
  /** Under the entries themselves, and gone with them. */
  readonly #refreshes = new WeakMap<TimedAnswer<Answer>, Promise<TimedAnswer<Answer>>>();
  readonly #open = new WeakMap<TimedAnswer<Answer>, Revalidation<Answer>>();

  constructor(options: RevalidationsOptions<Answer>) {
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
  revalidate(
    name: string,
    kept: TimedAnswer<Answer>,
    send: () => Promise<Reply<Answer>>,
  ): Promise<TimedAnswer<Answer>> {
    const { clock, answers, revalidationPauseMs, stats } = this.#options;
    const last = this.#open.get(kept);
    const sentMs = clock.monotonic();
    if (last && (last.isOpen || sentMs - last.sentMs < revalidationPauseMs)) return last.outcome;
    stats.revalidations += 1;
    const revalidation: Revalidation<Answer> = {
      sentMs,
      outcome: answers.renew(name, kept, send),
      isOpen: true,
    };
    const close = (): void => {
      revalidation.isOpen = false;
    };
    revalidation.outcome.then(close, close);
    this.#open.set(kept, revalidation);
    return revalidation.outcome;
  }

  async #refresh(
    name: string,
    kept: TimedAnswer<Answer>,
    send: () => Promise<Reply<Answer>>,
    settle: (timed: TimedAnswer<Answer>) => void,
  ): Promise<void> {
    const { clock, answers } = this.#options;
    const deadline = clock.timer(refreshMs, () => {
      kept.refreshedMs = Number.POSITIVE_INFINITY;
      settle(kept);
    });
    try {
      settle(await answers.renew(name, kept, send));
    } catch {
      kept.refreshedMs = clock.monotonic();
      settle(kept);
    } finally {
      deadline.cancel();
      this.#refreshes.delete(kept);
    }
  }
}
