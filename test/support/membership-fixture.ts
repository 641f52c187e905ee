/**
 * A cluster of real memberships on a memory network: starts, crashes, restarts, stalls and partitions its replicas, and
 * keeps a list of who was declared dead by whom, with whether that was false.
 */
import { type Random, SeededRandom } from "../../src/base/random.ts";
import type { AgreedSettings } from "../../src/membership/agreed-settings.ts";
import { Membership } from "../../src/membership/membership.ts";
import { StaticSeeds } from "../../src/membership/seeds.ts";
import type { SwimSettings } from "../../src/membership/swim-settings.ts";
import { MemoryNetwork, type MemoryNetworkOptions, type NetworkHost } from "./memory-network.ts";
import { RecordedLogger } from "./recorded-logger.ts";
import { SimulatedClock } from "./simulated-clock.ts";
import { StallableClock } from "./stallable-clock.ts";

export interface SimulatedReplica extends NetworkHost {
  readonly replicaId: string;
  readonly logger: RecordedLogger;
  readonly firstIncarnation: number;
}

export interface Death {
  readonly atMs: number;
  readonly replicaId: string;
  readonly believedBy: string;
  /** It was about the run that was going on, whatever else was wrong, and not about one that had ended. */
  readonly wasRunning: boolean;
}

export const agreedSettings: AgreedSettings = {
  name: "orca.test",
  settings: { "chunking.size": "8388608", "origin.id": "origin-a" },
};

export interface ClusterFixtureOptions extends Omit<MemoryNetworkOptions, "clock" | "random"> {
  readonly seed?: number;
  readonly settings?: Partial<SwimSettings>;
}

export class ClusterFixture {
  readonly clock = new SimulatedClock();
  readonly random: Random;
  readonly network: MemoryNetwork;
  readonly replicas = new Map<string, SimulatedReplica>();
  readonly deaths: Death[] = [];
  readonly #settings: Partial<SwimSettings>;

  constructor(options: ClusterFixtureOptions = {}) {
    this.random = new SeededRandom(options.seed ?? 1);
    this.network = new MemoryNetwork({ ...options, clock: this.clock, random: this.random });
    this.#settings = options.settings ?? {};
  }

  /** Starts `r1` to `r<count>`, and lets them find one another. */
  static async running(count: number, options: ClusterFixtureOptions = {}): Promise<ClusterFixture> {
    const cluster = new ClusterFixture(options);
    for (let number = 1; number <= count; number += 1) cluster.start(`r${number}`);
    await cluster.clock.advance(5000);
    return cluster;
  }

  /** The same id has the same address again after a restart. */
  start(
    replicaId: string,
    its: { agreedSettings?: AgreedSettings; seeds?: readonly string[] } = {},
  ): SimulatedReplica {
    const address = addressOf(replicaId);
    const clock = new StallableClock(this.clock);
    const logger = new RecordedLogger();
    const membership = new Membership({
      replicaId,
      address,
      zone: "",
      agreedSettings: its.agreedSettings ?? agreedSettings,
      seeds: [new StaticSeeds((its.seeds ?? ["r1", "r2", "r3"]).map(addressOf))],
      transport: this.network.transport(address, clock),
      clock,
      random: new SeededRandom(Math.floor(this.random.next() * 2 ** 32)),
      logger,
      settings: this.#settings,
    });
    const firstIncarnation = membership.self.incarnation;
    const replica = { replicaId, address, clock, membership, logger, firstIncarnation };
    membership.subscribe((member) => {
      if (member.state !== "dead" || this.replicas.get(replicaId) !== replica) return;
      this.deaths.push({
        atMs: this.clock.monotonic(),
        replicaId: member.replicaId,
        believedBy: replicaId,
        wasRunning: member.incarnation >= (this.replicas.get(member.replicaId)?.firstIncarnation ?? Infinity),
      });
    });
    this.replicas.set(replicaId, replica);
    this.network.attach(replica);
    void membership.start();
    return replica;
  }

  crash(replicaId: string): void {
    this.network.detach(addressOf(replicaId));
    this.membership(replicaId).stop();
    this.replicas.delete(replicaId);
  }

  async leave(replicaId: string): Promise<void> {
    const left = this.membership(replicaId).leave();
    await this.clock.advance(1000);
    await left;
    this.network.detach(addressOf(replicaId));
    this.replicas.delete(replicaId);
  }

  membership(replicaId: string): Membership {
    const replica = this.replicas.get(replicaId);
    if (!replica) throw new Error(`replica "${replicaId}" does not run`);
    return replica.membership;
  }

  running(): SimulatedReplica[] {
    return [...this.replicas.values()];
  }

  partition(...sides: readonly (readonly string[])[]): void {
    this.network.partition(...sides.map((ids) => ids.map(addressOf)));
  }

  /** Every running replica holds exactly the running ones for live, and none of them for suspect. */
  agrees(): boolean {
    const ids = [...this.replicas.keys()].sort().join();
    return this.running().every(({ membership: { live } }) => {
      return (
        live.every(({ state }) => state === "alive") && live.map(({ replicaId }) => replicaId).join() === ids
      );
    });
  }

  falseDeaths(): Death[] {
    return this.deaths.filter(({ wasRunning }) => wasRunning);
  }

  /** Every running replica sees `replicaId` as live, or none does. */
  allSee(replicaId: string, live: boolean): boolean {
    return this.running().every(
      ({ membership }) => membership.live.some((member) => member.replicaId === replicaId) === live,
    );
  }

  stop(): void {
    for (const { membership } of this.running()) membership.stop();
  }
}

export function addressOf(replicaId: string): string {
  return `${replicaId}.test:8444`;
}
