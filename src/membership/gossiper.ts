/**
 * Sends news that would otherwise wait for the next probe to ride on. SWIM has it ride on probes alone; but a replica
 * probes one other a second, and an object that was invalidated should not be served from a stale head for seconds. So while
 * there is news it goes to a few others several times a second; while there is none, nothing is sent.
 */
import type { Clock, Timer } from "../base/clock.ts";
import type { Random } from "../base/random.ts";
import type { Member } from "./member.ts";
import type { MemberTable } from "./member-table.ts";
import type { Messenger } from "./messenger.ts";
import { sample } from "./sample.ts";
import type { SwimSettings } from "./swim-settings.ts";

export interface GossiperOptions {
  readonly table: MemberTable;
  readonly messenger: Messenger;
  readonly settings: SwimSettings;
  readonly clock: Clock;
  readonly random: Random;
  /** How many pieces of news wait. */
  readonly waiting: () => number;
}

export class Gossiper {
  readonly #options: GossiperOptions;
  /** Who was told in this pass: everybody is told once before anybody twice. */
  readonly #told = new Set<string>();
  #sentMs = -Infinity;
  #timer: Timer | undefined;
  #stopped = true;

  constructor(options: GossiperOptions) {
    this.#options = options;
  }

  start(): void {
    this.#stopped = false;
    this.wake();
  }

  stop(): void {
    this.#stopped = true;
    this.#timer?.cancel();
    this.#timer = undefined;
  }

  /** There is news. The first piece after a quiet time goes at once, and what comes with it goes along. */
  wake(): void {
    const { clock, settings, table, waiting } = this.#options;
    if (this.#stopped || this.#timer || waiting() === 0 || table.live.length <= 1) return;
    const delayMs = Math.max(0, this.#sentMs + settings.gossipIntervalMs - clock.monotonic());
    this.#timer = clock.timer(delayMs, () => this.#send());
  }

  #send(): void {
    const { clock, messenger, settings } = this.#options;
    this.#timer = undefined;
    this.#sentMs = clock.monotonic();
    for (const member of this.#choose()) {
      // Whether it arrives is for the detector to find out; silence here accuses nobody.
      void messenger.ping(member, settings.probeTimeoutMs);
    }
    this.wake();
  }

  #choose(): Member[] {
    const { random, settings, table } = this.#options;
    const others = table.others();
    let untold = others.filter(({ replicaId }) => !this.#told.has(replicaId));
    if (untold.length === 0) {
      this.#told.clear();
      untold = others;
    }
    const chosen = sample(untold, settings.gossipFanout, random);
    for (const { replicaId } of chosen) this.#told.add(replicaId);
    return chosen;
  }
}
