/**
 * Asks again about entries of a directory that are still fresh, because other replicas may have another answer. An entry
 * stays in use until another answer arrives. If the source fails, the entry stays in use.
 *
 * A *refresh* asks the coordinator for its current answer, for a reader that must agree with readers at other replicas. A
 * *revalidation* is for a client whose precondition contradicts the entry. It goes on to the origin if the coordinator
 * has the same entry. The client may be wrong or malicious, so all callers within a pause share one outcome.
 *
 * Invariants:
 * 1. At most one refresh and one revalidation of an entry are in flight. Further callers join them.
 * 2. A refresh never fails, and delays a caller by at most {@link refreshMs}. After that the entry counts as refreshed.
 *    Until the late answer arrives, no caller waits for it or starts another refresh.
 * 3. With a pause, revalidations of one entry are sent at least that far apart, failed ones included. If a revalidation
 *    replaces the entry, the pause does not apply to the new entry: the first contradiction was right.
 */
import type { Clock } from "../../base/clock.ts";
import type { AnswerCache, Reply, TimedAnswer } from "../answer-cache.ts";

/** How long a coordinator's answer counts as refreshed, and the pause between revalidations of one entry at the origin. */
export const refreshMs = 1000;

export interface RevalidationsOptions<Answer> {
  readonly clock: Clock;
  readonly answers: AnswerCache<Answer>;
  /** How long callers share the outcome of a revalidation after it was sent. 0: only while it is in flight. */
  readonly revalidationPauseMs: number;
  /** The owner's counters, which are incremented here. */
  readonly stats: { refreshes: number; revalidations: number };
}

interface Revalidation<Answer> {
  readonly sentMs: number;
  readonly outcome: Promise<TimedAnswer<Answer>>;
  isRunning: boolean;
}

export class Revalidations<Answer> {
  readonly #options: RevalidationsOptions<Answer>;
  /** Weak keys: a refresh or revalidation is collected together with its entry. */
  readonly #refreshes = new WeakMap<TimedAnswer<Answer>, Promise<TimedAnswer<Answer>>>();
  readonly #revalidations = new WeakMap<TimedAnswer<Answer>, Revalidation<Answer>>();

  constructor(options: RevalidationsOptions<Answer>) {
    this.#options = options;
  }

  /** The coordinator's current answer, or `kept` if it gives none in time. */
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

  /** The source's answer about `kept`, which a client contradicts. @throws OrcaError if the source fails. */
  revalidate(
    name: string,
    kept: TimedAnswer<Answer>,
    send: () => Promise<Reply<Answer>>,
  ): Promise<TimedAnswer<Answer>> {
    const { clock, answers, revalidationPauseMs, stats } = this.#options;
    const last = this.#revalidations.get(kept);
    const sentMs = clock.monotonic();
    if (last && (last.isRunning || sentMs - last.sentMs < revalidationPauseMs)) return last.outcome;
    stats.revalidations += 1;
    const revalidation: Revalidation<Answer> = {
      sentMs,
      outcome: answers.renew(name, kept, send),
      isRunning: true,
    };
    const end = (): void => {
      revalidation.isRunning = false;
    };
    revalidation.outcome.then(end, end);
    this.#revalidations.set(kept, revalidation);
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
      // The entry counts as refreshed until the late answer sets the true time.
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
