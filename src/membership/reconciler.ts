/**
 * Mends views that gossip left different. From time to time whole views are exchanged with a live member, for news that
 * was lost on every way; and dead members are asked in turn whether they are back, because the two sides of a partition
 * hold each other for dead and would never speak again.
 *
 * Invariant: one exchange of each kind runs at a time, so that a black hole costs its timeout and no pile of requests.
 */
import type { Clock, Timer } from "../base/clock.ts";
import type { Random } from "../base/random.ts";
import type { Member } from "./member.ts";
import type { MemberTable } from "./member-table.ts";
import type { Messenger } from "./messenger.ts";
import { sample } from "./sample.ts";
import type { SwimSettings } from "./swim-settings.ts";

export interface ReconcilerOptions {
  readonly table: MemberTable;
  readonly messenger: Messenger;
  readonly settings: SwimSettings;
  readonly clock: Clock;
  readonly random: Random;
  readonly onForgotten: (replicaIds: readonly string[]) => void;
}

export class Reconciler {
  readonly #options: ReconcilerOptions;
  readonly #timers = new Set<Timer>();
  /** Whom to ask next among the dead: the first by id after this one. */
  #askedLast = "";
  #stopped = false;

  constructor(options: ReconcilerOptions) {
    this.#options = options;
  }

  start(): void {
    const { random, settings } = this.#options;
    // At moments of its own, so that replicas started together do not all exchange together.
    this.#repeat(settings.syncIntervalMs, random.next(), () => this.#syncWithLive());
    this.#repeat(settings.deadRetryIntervalMs, random.next(), () => this.#askDead());
  }

  stop(): void {
    this.#stopped = true;
    for (const timer of this.#timers) timer.cancel();
  }

  #repeat(intervalMs: number, firstShare: number, action: () => Promise<void>): void {
    const { clock } = this.#options;
    const run = async (): Promise<void> => {
      await action();
      this.#timers.delete(timer);
      if (!this.#stopped) arm(intervalMs);
    };
    let timer: Timer;
    const arm = (delayMs: number): void => {
      timer = clock.timer(delayMs, () => void run());
      this.#timers.add(timer);
    };
    arm(intervalMs * firstShare);
  }

  async #syncWithLive(): Promise<void> {
    const { messenger, onForgotten, random, table } = this.#options;
    onForgotten(table.forgetGone());
    const [member] = sample(table.others(), 1, random);
    if (member) await messenger.sync(member.address);
  }

  async #askDead(): Promise<void> {
    const member = this.#nextDead();
    if (!member) return;
    this.#askedLast = member.replicaId;
    await this.#options.messenger.sync(member.address);
  }

  /** In turn, so that the one that is back is not missed for those that stay away. */
  #nextDead(): Member | undefined {
    const dead = this.#options.table
      .members()
      .filter(({ state }) => state === "dead")
      .sort((left, right) => (left.replicaId < right.replicaId ? -1 : 1));
    return dead.find(({ replicaId }) => replicaId > this.#askedLast) ?? dead[0];
  }
}
