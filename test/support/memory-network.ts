/**
 * A network between simulated replicas, in memory and on simulated time. Messages take a random time, so that they
 * overtake one another; they are lost by chance; partitions swallow them. Everything follows from one seed.
 */
import type { Clock } from "../../src/base/clock.ts";
import type { Random } from "../../src/base/random.ts";
import type { Membership } from "../../src/membership/membership.ts";
import type { MembershipTransport } from "../../src/membership/membership-message.ts";
import type { StallableClock } from "./stallable-clock.ts";

export interface NetworkHost {
  readonly address: string;
  readonly clock: StallableClock;
  readonly membership: Membership;
}

export interface MemoryNetworkOptions {
  readonly clock: Clock;
  readonly random: Random;
  readonly delayMinMs?: number;
  readonly delayMaxMs?: number;
  /** Share of messages that never arrive, each way. */
  readonly loss?: number;
}

export class MemoryNetwork {
  readonly stats = { messages: 0, lost: 0 };
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #delayMinMs: number;
  readonly #delayMaxMs: number;
  readonly #hosts = new Map<string, NetworkHost>();
  readonly #sideOf = new Map<string, number>();
  loss: number;

  constructor(options: MemoryNetworkOptions) {
    this.#clock = options.clock;
    this.#random = options.random;
    this.#delayMinMs = options.delayMinMs ?? 1;
    this.#delayMaxMs = options.delayMaxMs ?? 20;
    this.loss = options.loss ?? 0;
  }

  attach(host: NetworkHost): void {
    this.#hosts.set(host.address, host);
  }

  /** A process that is gone: what is sent there is swallowed, as by a machine that lost power. */
  detach(address: string): void {
    this.#hosts.delete(address);
  }

  /** Addresses on different sides do not reach each other; those that are not named are on a side of their own. */
  partition(...sides: readonly (readonly string[])[]): void {
    this.#sideOf.clear();
    for (const [index, addresses] of sides.entries()) {
      for (const address of addresses) this.#sideOf.set(address, index + 1);
    }
  }

  heal(): void {
    this.#sideOf.clear();
  }

  /** What the replica at `address` speaks with; its deadlines run on its own clock. */
  transport(address: string, clock: StallableClock): MembershipTransport {
    const call = <Answer>(
      to: string,
      timeoutMs: number,
      ask: (host: NetworkHost) => Answer | Promise<Answer>,
    ): Promise<Answer> => this.#call(address, to, clock, timeoutMs, ask);
    return {
      ping: (to, message, timeoutMs) => call(to, timeoutMs, (host) => host.membership.receivePing(message)),
      pingIndirect: (to, message, timeoutMs) =>
        call(to, timeoutMs, (host) => host.membership.receivePingIndirect(message)),
      sync: (to, view, timeoutMs) => call(to, timeoutMs, (host) => host.membership.receiveSync(view)),
    };
  }

  #call<Answer>(
    from: string,
    to: string,
    caller: StallableClock,
    timeoutMs: number,
    ask: (host: NetworkHost) => Answer | Promise<Answer>,
  ): Promise<Answer> {
    const { promise, resolve, reject } = Promise.withResolvers<Answer>();
    const deadline = caller.timer(timeoutMs, () => reject(new Error(`no answer within ${timeoutMs} ms`)));
    const answer = (settle: () => void): void => {
      this.#send(to, from, () =>
        caller.deliver(() => {
          deadline.cancel();
          settle();
        }),
      );
    };
    this.#send(from, to, () => {
      const host = this.#hosts.get(to);
      host?.clock.deliver(() => {
        // A process that died while the message waited for it has not read it.
        if (this.#hosts.get(to) !== host) return;
        void Promise.try(() => ask(host)).then(
          (value) => answer(() => resolve(value)),
          (error: unknown) => answer(() => reject(error)),
        );
      });
    });
    return promise;
  }

  #send(from: string, to: string, arrive: () => void): void {
    this.stats.messages += 1;
    const delayMs = this.#delayMinMs + this.#random.next() * (this.#delayMaxMs - this.#delayMinMs);
    const lost = this.#random.next() < this.loss;
    if (lost || this.#sideOf.get(from) !== this.#sideOf.get(to)) {
      this.stats.lost += 1;
      return;
    }
    this.#clock.timer(delayMs, arrive);
  }
}
