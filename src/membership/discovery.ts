/**
 * Finds the cluster through its seeds, and keeps asking them. So a replica that reached no other at its start joins
 * later, and two halves that were started apart find each other. A seed is only an address to contact. An address that
 * disappears from the seeds says nothing about its replica, because DNS omits pods that are merely not ready. Only the
 * failure detector and a replica's own leave message remove a member.
 *
 * Invariants:
 * 1. One poll runs at a time, with at most exchangesMax exchanges of views. A poll ends within lookupTimeoutMs plus the
 *    time of its exchanges.
 * 2. #answeredBy remembers which replica answered at a seed address, for the addresses of the last poll only.
 */

import type { Clock, Timer } from "../base/clock.ts";
import { sleep } from "../base/clock.ts";
import { LogPace } from "../base/log-pace.ts";
import type { Logger } from "../base/logger.ts";
import { pages } from "../base/pages.ts";
import { type Random, sample } from "../base/random.ts";
import { isLive, type Member } from "./member.ts";
import type { MemberTable } from "./member-table.ts";
import type { Messenger } from "./messenger.ts";
import type { Seeds } from "./seeds.ts";
import type { SwimSettings } from "./swim-settings.ts";

const lookupTimeoutMs = 5000;
/** Each exchange returns the whole view, so a few addresses of a long list are enough. */
const exchangesMax = 8;

export interface DiscoveryOptions {
  readonly seeds: readonly Seeds[];
  readonly table: MemberTable;
  readonly messenger: Messenger;
  readonly settings: SwimSettings;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
}

export class Discovery {
  readonly stats = { polls: 0, lookupsFailed: 0 };
  readonly #options: DiscoveryOptions;
  readonly #pace: LogPace;
  #answeredBy = new Map<string, string>();
  #timer: Timer | undefined;
  #stopped = false;

  constructor(options: DiscoveryOptions) {
    this.#options = options;
    this.#pace = new LogPace(options.clock);
  }

  /** Resolves after the first poll: this replica has joined the cluster, or no seed answered. */
  async start(): Promise<void> {
    await this.#poll();
    this.#arm();
  }

  stop(): void {
    this.#stopped = true;
    this.#timer?.cancel();
  }

  #arm(): void {
    if (this.#stopped) return;
    const { clock, settings, table } = this.#options;
    const alone = table.live.length <= 1;
    const delayMs = alone ? settings.aloneDiscoveryIntervalMs : settings.discoveryIntervalMs;
    this.#timer = clock.timer(delayMs, () => void this.#poll().then(() => this.#arm()));
  }

  async #poll(): Promise<void> {
    const { messenger, random, seeds } = this.#options;
    this.stats.polls += 1;
    const found = await Promise.all(seeds.map((each) => this.#lookUp(each)));
    if (this.#stopped) return;
    const addresses = [...new Set(found.flat())];
    const answeredBy = new Map<string, string>();
    for (const address of addresses) {
      const replicaId = this.#answeredBy.get(address);
      if (replicaId !== undefined) answeredBy.set(address, replicaId);
    }
    this.#answeredBy = answeredBy;
    const unknown = addresses.filter((address) => !this.#isKnown(address));
    await Promise.all(
      sample(unknown, exchangesMax, random).map(async (address) => {
        const member = await messenger.sync(address);
        if (member && !this.#isTwin(member)) answeredBy.set(address, member.replicaId);
      }),
    );
  }

  /**
   * Whether another replica has this one's id. Its address stays unknown, because only statements that are repeated tell
   * it from an earlier run of this replica. Otherwise the one that starts last would ask once, and never notice.
   */
  #isTwin({ replicaId, address }: Member): boolean {
    const { self } = this.#options.table;
    return replicaId === self.replicaId && address !== self.address;
  }

  /** Whether the address is that of a live member or of this replica. */
  #isKnown(address: string): boolean {
    const { table } = this.#options;
    const answered = this.#answeredBy.get(address);
    const member = answered === undefined ? undefined : table.get(answered);
    return (
      table.self.address === address ||
      (member !== undefined && isLive(member)) ||
      table.live.some((each) => each.address === address)
    );
  }

  async #lookUp(seeds: Seeds): Promise<readonly string[]> {
    const { clock, logger } = this.#options;
    const deadline = new AbortController();
    try {
      const tooLong = sleep(clock, lookupTimeoutMs, deadline.signal).then(() => {
        throw new Error(`no answer within ${lookupTimeoutMs} ms`);
      });
      return await Promise.race([seeds.addresses(), tooLong]);
    } catch (cause) {
      this.stats.lookupsFailed += 1;
      const suppressed = this.#pace.take("look-up");
      if (suppressed) {
        const fields = { err: cause, see: pages.doesNotJoin, ...suppressed };
        logger.warn(fields, "Cannot look up the addresses of other replicas");
      }
      return [];
    } finally {
      deadline.abort();
    }
  }
}
