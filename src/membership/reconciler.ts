/**
 * Repairs views that gossip left different. At intervals it exchanges whole views with a live member, for statements that
 * gossip has lost. It also asks dead members, in turn, whether they are back: after a partition each side considers the
 * other dead, and without these requests the sides would never communicate again.
 *
 * Invariant: one exchange of each kind runs at a time, so a member that never answers costs a timeout and no backlog.
 */
import type { Clock, Timer } from "../base/clock.ts";
import { type Random, sample } from "../base/random.ts";
import type { Member } from "./member.ts";
import type { MemberTable } from "./member-table.ts";
import type { Messenger } from "./messenger.ts";
import type { SwimSettings } from "./swim-settings.ts";

export interface ReconcilerOptions {
  readonly table: MemberTable;
  readonly messenger: Messenger;
  readonly settings: SwimSettings;
  readonly clock: Clock;
  readonly random: Random;
}

export class Reconciler {
  readonly #options: ReconcilerOptions;
  readonly #timers = new Set<Timer>();
  /** The dead member asked last. The next one is the first by id after it. */
  #askedLast = "";
  #stopped = false;

  constructor(options: ReconcilerOptions) {
    this.#options = options;
  }

  start(): void {
    const { random, settings } = this.#options;
    // At random moments, so that replicas started together do not exchange views together.
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
    const { messenger, random, table } = this.#options;
    table.forgetExpired();
    const [member] = sample(table.others(), 1, random);
    if (member) await messenger.sync(member.address);
  }

  async #askDead(): Promise<void> {
    const member = this.#nextDead();
    if (!member) return;
    this.#askedLast = member.replicaId;
    await this.#options.messenger.sync(member.address);
  }

  /** The dead members take turns, so that those that stay dead do not hide one that is back. */
  #nextDead(): Member | undefined {
    const dead = this.#options.table
      .members()
      .filter(({ state }) => state === "dead")
      .sort((left, right) => (left.replicaId < right.replicaId ? -1 : 1));
    return dead.find(({ replicaId }) => replicaId > this.#askedLast) ?? dead[0];
  }
}
