/**
 * Finds members that do not answer (SWIM §3, §4.3; Lifeguard §III). It probes one member per interval: directly, then
 * through other members, so that one bad link does not look like a death. The detector does not declare a silent member
 * dead. It accuses the member, and the member table decides what follows.
 *
 * Invariants:
 * 1. One probe runs at a time. The next begins one interval after this one began, stretched by local health.
 * 2. Every live member is probed once per round. The order is random and different on each replica. It stays the same
 *    from round to round, so the time between two probes of a member is always one round. (The paper shuffles each round
 *    anew. Then the time is up to two rounds, and the worst case is the time to detect a crash.)
 * 3. A member that others accuse, or that a caller reports, is probed next, out of turn. If it is dead, this probe is the
 *    confirmation that shortens its suspicion. If not, the probe carries the accusation, which it must refute.
 */
import type { Clock, Timer } from "../base/clock.ts";
import { type Random, sample } from "../base/random.ts";
import type { LocalHealth } from "./local-health.ts";
import { isLive, type Member } from "./member.ts";
import type { MemberTable } from "./member-table.ts";
import type { Messenger } from "./messenger.ts";
import type { StallWatch } from "./stall-watch.ts";
import type { SwimSettings } from "./swim-settings.ts";

export interface DetectorOptions {
  readonly table: MemberTable;
  readonly messenger: Messenger;
  readonly health: LocalHealth;
  readonly stallWatch: StallWatch;
  readonly settings: SwimSettings;
  readonly clock: Clock;
  readonly random: Random;
}

export class Detector {
  readonly stats = { probes: 0, probesFailed: 0, reachedIndirectly: 0, inconclusive: 0 };
  readonly #options: DetectorOptions;
  /** Ids in the order of probing. Members that are no longer live stay until their turn. */
  #round: string[] = [];
  #position = 0;
  readonly #next = new Set<string>();
  #timer: Timer | undefined;
  #stopped = false;

  constructor(options: DetectorOptions) {
    this.#options = options;
  }

  start(): void {
    // At a random moment, so that replicas started together do not probe together.
    const { random, settings } = this.#options;
    this.#arm(random.next() * settings.probeIntervalMs);
  }

  stop(): void {
    this.#stopped = true;
    this.#timer?.cancel();
  }

  /** Inserts a new member at a random place in the round. */
  include(replicaId: string): void {
    if (this.#round.includes(replicaId)) return;
    const at = Math.floor(this.#options.random.next() * (this.#round.length + 1));
    this.#round.splice(at, 0, replicaId);
  }

  /** Probes a member out of turn, for a caller that has reason to think it dead. */
  probeNext(replicaId: string): void {
    this.#next.add(replicaId);
  }

  #arm(delayMs: number): void {
    this.#timer = this.#options.clock.timer(delayMs, () => void this.#turn());
  }

  async #turn(): Promise<void> {
    const { clock, health, settings } = this.#options;
    const startedMs = clock.monotonic();
    const target = this.#choose();
    if (target) await this.#probe(target, startedMs);
    if (this.#stopped) return;
    const elapsedMs = clock.monotonic() - startedMs;
    this.#arm(Math.max(0, health.scale(settings.probeIntervalMs) - elapsedMs));
  }

  #choose(): Member | undefined {
    const { table } = this.#options;
    for (const replicaId of this.#next) {
      this.#next.delete(replicaId);
      const member = table.get(replicaId);
      if (member && isLive(member)) return member;
    }
    while (this.#round.length > 0) {
      if (this.#position >= this.#round.length) this.#position = 0;
      const member = table.get(this.#round[this.#position] as string);
      if (member && isLive(member)) {
        this.#position += 1;
        return member;
      }
      this.#round.splice(this.#position, 1);
    }
    return undefined;
  }

  async #probe(target: Member, startedMs: number): Promise<void> {
    const { clock, health, messenger, settings, stallWatch, table } = this.#options;
    this.stats.probes += 1;
    // Read once: if this probe changes the health score, that applies to the next one.
    const intervalMs = health.scale(settings.probeIntervalMs);
    if (await messenger.ping(target, health.scale(settings.probeTimeoutMs))) {
      health.note(-1);
      return;
    }
    if (this.#stopped) return;
    const helpers = this.#helpersFor(target);
    const leftMs = Math.max(settings.probeTimeoutMs, intervalMs - (clock.monotonic() - startedMs));
    const results = await Promise.all(
      helpers.map((helper) => messenger.pingIndirect(helper, target, leftMs)),
    );
    if (this.#stopped) return;
    if (results.includes("reached")) {
      this.stats.reachedIndirectly += 1;
    } else if (stallWatch.stalledSince(startedMs)) {
      this.stats.inconclusive += 1;
    } else {
      this.stats.probesFailed += 1;
      // A helper that answered "silent" shows that our own link works. A helper that did not answer suggests the opposite.
      health.note(helpers.length === 0 ? 1 : results.filter((result) => result === "lost").length);
      table.accuse(target);
    }
  }

  /** Suspects help only if there are too few other members. */
  #helpersFor(target: Member): Member[] {
    const { random, settings, table } = this.#options;
    const others = table.others().filter(({ replicaId }) => replicaId !== target.replicaId);
    const alive = others.filter(({ state }) => state === "alive");
    const suspects = others.filter(({ state }) => state === "suspect");
    return [...sample(alive, settings.indirectProbes, random), ...suspects].slice(0, settings.indirectProbes);
  }
}
