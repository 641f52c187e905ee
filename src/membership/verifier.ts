/**
 * Asks each member that other replicas named whether it exists: a member counts for shares and placement only after it
 * has answered this replica itself. Otherwise one message with a thousand invented members would shrink this replica's
 * share of every origin, and place chunks on replicas that do not exist. A joining replica is asked as soon as it is
 * known, so it counts after one round trip.
 *
 * Invariants:
 * 1. At most pingsMax of these pings run at a time. Members that contacted this replica are asked before the others. A ping
 *    that fails counts as running until its time is over: addresses that refuse at once are asked no faster than silent ones.
 * 2. A member that does not answer several times in a row is accused, as after a failed probe.
 */

import type { Clock, Timer } from "../base/clock.ts";
import { LruMap } from "../base/lru-map.ts";
import { isLive, type Member } from "./member.ts";
import type { MemberTable } from "./member-table.ts";
import type { Messenger } from "./messenger.ts";
import type { StallWatch } from "./stall-watch.ts";
import type { SwimSettings } from "./swim-settings.ts";

const pingsMax = 16;

/** One lost message must not look like a replica that does not exist. */
const attemptsMax = 3;

export interface VerifierOptions {
  readonly table: MemberTable;
  readonly messenger: Messenger;
  readonly stallWatch: StallWatch;
  readonly settings: SwimSettings;
  readonly clock: Clock;
}

export class Verifier {
  readonly stats = { verified: 0, unanswered: 0 };
  readonly #options: VerifierOptions;
  /** Ids of members to ask. Each is in one of them, or is being asked, or waits for {@link #timer}. */
  readonly #first = new LruMap<string, true>();
  readonly #queue = new LruMap<string, true>();
  readonly #running = new Set<string>();
  /** Of pings that have failed before their time was over. */
  readonly #pauses = new Set<Timer>();
  /** Pings in a row that a member has not answered. */
  readonly #failures = new Map<string, number>();
  #timer: Timer | undefined;
  #idle: PromiseWithResolvers<void> | undefined;
  #stopped = true;

  constructor(options: VerifierOptions) {
    this.#options = options;
  }

  start(): void {
    this.#stopped = false;
    this.#run();
  }

  stop(): void {
    this.#stopped = true;
    this.#timer?.cancel();
    for (const pause of this.#pauses) pause.cancel();
    this.#pauses.clear();
    this.#idle?.resolve();
  }

  /** Asks a live member, unless it has answered. `hasCalled`: it contacted this replica, so it is asked first. */
  include({ replicaId }: Member, hasCalled: boolean): void {
    if (this.#options.table.hasAnswered(replicaId) || this.#running.has(replicaId)) return;
    if (hasCalled) {
      this.#queue.delete(replicaId);
      if (!this.#first.has(replicaId)) this.#first.set(replicaId, true);
    } else if (!this.#first.has(replicaId) && !this.#queue.has(replicaId)) {
      this.#queue.set(replicaId, true);
    }
    this.#run();
  }

  /** Resolves when every known member has been asked once, or after `timeoutMs`. */
  async settled(timeoutMs: number): Promise<void> {
    if (this.#stopped || this.#isIdle) return;
    this.#idle ??= Promise.withResolvers<void>();
    const timer = this.#options.clock.timer(timeoutMs, () => this.#idle?.resolve());
    await this.#idle.promise;
    timer.cancel();
    this.#idle = undefined;
  }

  get #isIdle(): boolean {
    return this.#first.size + this.#queue.size + this.#running.size === 0;
  }

  #run(): void {
    if (this.#stopped) return;
    for (const ids of [this.#first, this.#queue]) {
      for (let next = ids.oldest; next !== undefined; next = ids.oldest) {
        if (this.#running.size + this.#pauses.size >= pingsMax) return;
        const { key: replicaId } = next;
        ids.delete(replicaId);
        const member = this.#options.table.get(replicaId);
        if (member && isLive(member)) void this.#ask(member);
        else this.#failures.delete(replicaId);
      }
    }
    if (this.#isIdle) this.#idle?.resolve();
  }

  async #ask(member: Member): Promise<void> {
    const { messenger, settings, stallWatch, clock, table } = this.#options;
    const { replicaId } = member;
    const startedMs = clock.monotonic();
    this.#running.add(replicaId);
    const answered = await messenger.ping(member, settings.probeTimeoutMs);
    this.#running.delete(replicaId);
    if (this.#stopped) return;
    if (answered) {
      this.stats.verified += 1;
      this.#failures.delete(replicaId);
    } else {
      this.stats.unanswered += 1;
      const failures = (this.#failures.get(replicaId) ?? 0) + 1;
      this.#failures.set(replicaId, failures);
      if (failures >= attemptsMax && !stallWatch.stalledSince(startedMs)) table.accuse(member);
      this.#retryLater();
      this.#pauseUntil(startedMs + settings.probeTimeoutMs);
    }
    this.#run();
  }

  /** Until then one ping less may run. */
  #pauseUntil(timeMs: number): void {
    const { clock } = this.#options;
    const leftMs = timeMs - clock.monotonic();
    if (leftMs <= 0) return;
    const pause = clock.timer(leftMs, () => {
      this.#pauses.delete(pause);
      this.#run();
    });
    this.#pauses.add(pause);
  }

  /** Asks all members again that have not answered, one probe interval later. */
  #retryLater(): void {
    const { clock, settings, table } = this.#options;
    if (this.#timer) return;
    this.#timer = clock.timer(settings.probeIntervalMs, () => {
      this.#timer = undefined;
      for (const replicaId of this.#failures.keys()) {
        const member = table.get(replicaId);
        if (member && isLive(member) && !table.hasAnswered(replicaId)) this.include(member, false);
        else this.#failures.delete(replicaId);
      }
    });
  }
}
