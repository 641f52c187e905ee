/**
 * A cluster under everything its seed has in store: replicas made of the real membership, object and fill code on one
 * simulated clock, network and origin; clients that come, dawdle and leave; faults of the kinds that the scenario has.
 * Its life:
 *
 *   1. All replicas start, and find one another.
 *   2. For the time of the scenario, clients come and faults strike.
 *   3. Whatever is wrong is mended, who is down comes up, and everybody who is still there is served.
 *   4. Once deadlines and doubts of the bad time are over, it must be as if nothing had been: objects change a last time,
 *      and every replica reads them, and others from where they lie by now. Then the cluster comes to rest.
 *
 * The same seed does the same, to the last message. That holds as long as nothing asks for real time, real chance or
 * real I/O, and every turn of the event loop is empty before the next timer fires.
 */
import assert from "node:assert/strict";
import type { ChunkKey } from "../../src/store/chunk-store.ts";
import { Chance } from "../support/chance.ts";
import { addressOf } from "../support/membership-fixture.ts";
import { MemoryNetwork } from "../support/memory-network.ts";
import { SimulatedClock } from "../support/simulated-clock.ts";
import { ClusterChecks } from "./cluster-checks.ts";
import { Faults } from "./faults.ts";
import { objectSizesBytes, recoveryMs, type Scenario, scenarioOf, ttlMs } from "./scenario.ts";
import { SimulatedCachestore } from "./simulated-cachestore.ts";
import { type Reads, SimulatedClient } from "./simulated-client.ts";
import type { DiskMedium } from "./simulated-disk.ts";
import { SimulatedLister } from "./simulated-lister.ts";
import { SimulatedMesh } from "./simulated-mesh.ts";
import { SimulatedOrigin } from "./simulated-origin.ts";
import { SimulatedReplica } from "./simulated-replica.ts";
import { Trace } from "./trace.ts";

/** How a client comes, where that is not left to chance. */
interface Entrance {
  readonly key?: string;
  readonly replica?: SimulatedReplica;
  readonly reads?: Reads;
}

/** Longer than any sum of deadlines: whoever is not served by then never will be. */
const patienceMs = 300_000;
/** Longer than the rounds after which even a copy that was lost without a word is made again. */
const copiesMs = 60_000;
/** Of those that a part sets and that end by themselves: calls, sweeps, retransmissions. */
const longestTimerMs = 20_000;
const stepMs = 50;

export interface ClusterSimulationOptions {
  readonly seed: number;
  /** Breaks something in each replica before it starts, to see that it is found out. */
  readonly sabotage?: (replica: SimulatedReplica) => void;
}

export class ClusterSimulation {
  readonly seed: number;
  readonly scenario: Scenario;
  readonly clock = new SimulatedClock();
  readonly trace = new Trace(this.clock);
  /** Those that run. */
  readonly replicas = new Map<string, SimulatedReplica>();
  readonly replicaIds: readonly string[];
  readonly network: MemoryNetwork;
  readonly mesh: SimulatedMesh;
  readonly origin: SimulatedOrigin;
  readonly cachestore: SimulatedCachestore;
  readonly media = new Map<string, DiskMedium>();
  readonly keys: readonly string[];
  readonly #options: ClusterSimulationOptions;
  readonly #chance: Chance;
  readonly #checks: ClusterChecks;
  readonly #faults: Faults;
  readonly #names = new Map<string, ChunkKey>();
  readonly #dead: SimulatedReplica[] = [];
  readonly #clients = new Set<SimulatedClient | SimulatedLister>();
  #clientsEntered = 0;
  #failure: { readonly thrown: unknown } | undefined;

  constructor(options: ClusterSimulationOptions) {
    const { seed } = options;
    const { clock, trace } = this;
    this.#options = options;
    this.seed = seed;
    this.#chance = new Chance(seed);
    const chance = this.#chance;
    this.scenario = scenarioOf(seed, chance.fork());
    const { loss, replicas } = this.scenario;
    this.replicaIds = Array.from({ length: replicas }, (_, index) => `r${index + 1}`);
    this.network = new MemoryNetwork({ clock, random: chance.forkRandom(), loss });
    this.mesh = new SimulatedMesh({ clock, chance: chance.fork(), trace });
    this.origin = new SimulatedOrigin({
      clock,
      chance: chance.fork(),
      trace,
      onRequest: (request) => this.#watch(() => this.#checks.originRequested(request)),
    });
    const { scenario, origin } = this;
    const onFault = (thrown: unknown): void => this.fail(thrown);
    this.cachestore = new SimulatedCachestore({ chance: chance.fork(), origin, onFault });
    this.#checks = new ClusterChecks({ scenario, clock, origin, replicas: this.replicas });
    this.keys = Array.from({ length: 2 * objectSizesBytes.length }, (_, index) => `k${index}`);
    this.#faults = new Faults(this, chance.fork());
  }

  /** @throws whatever a check found first. */
  async run(): Promise<void> {
    const { clock, scenario } = this;
    this.trace.note("seed", `${this.seed}: ${JSON.stringify(scenario)}`);
    for (const [index, key] of this.keys.entries()) this.origin.write(key, this.sizeOf(index));
    for (const replicaId of this.replicaIds) this.start(replicaId);
    await this.#until("the replicas find one another", () => this.#checks.isSteady, 20_000);
    for (let count = 0; count < scenario.clients; count += 1) {
      const enters = this.#chance.happens(0.2) ? () => this.#enterLister() : () => this.#enter();
      clock.timer(this.#chance.between(0, scenario.durationMs), enters);
    }
    this.#faults.begin();
    await this.#pass(scenario.durationMs);
    this.#faults.end();
    await this.#until("all clients are served", () => this.#clients.size === 0, patienceMs);
    await this.#until("the replicas find one another again", () => this.#checks.isSteady, 60_000);
    // Whoever found something out of date has yet to tell: it costs the next look-up a HEAD of its own.
    for (const key of this.keys)
      for (const replica of this.replicas.values()) this.#enter({ key, replica, reads: "nothing" });
    await this.#pass(recoveryMs);
    this.#watch(() => this.#checks.recovered());
    this.#readOnceMore();
    await this.#until("all is read once more", () => this.#clients.size === 0, patienceMs);
    await this.#until("the cluster comes to rest", () => this.#checks.unrest() === undefined, patienceMs);
    await this.#until("all copies are made", () => this.#checks.missingCopy() === undefined, copiesMs);
    await this.#until("the cluster comes to rest", () => this.#checks.unrest() === undefined, patienceMs);
    this.#watch(() => this.#checks.ended());
    for (const replica of this.replicas.values()) void replica.stop();
    await this.clock.advance(longestTimerMs);
    this.#watch(() => assert.equal(this.clock.pendingTimers, 0, "a timer is left over"));
    this.#throwFailure();
  }

  /** What the run asked of the origin, and what of it was for nothing. */
  get counts(): Record<string, number> {
    const { gets } = this.origin;
    const { metadataRequests, lists } = this.#checks;
    const sum = (count: (replica: SimulatedReplica) => number | undefined): number =>
      [...this.replicas.values(), ...this.#dead].reduce((total, replica) => total + (count(replica) ?? 0), 0);
    return {
      clients: this.#clientsEntered,
      heads: metadataRequests.head,
      openings: metadataRequests.opening,
      "openings wasted": sum(({ guarded }) => guarded.stats.openingsWasted),
      "heads after openings": metadataRequests["after-opening"],
      lists,
      gets: gets.length,
      "gets without a byte": gets.filter(({ deliveredBytes }) => deliveredBytes === 0).length,
      "flights cut": sum(({ filler }) => filler.stats.cut),
      "relays cut": sum(({ relay }) => relay.stats.cut),
      "blocks to disk": sum(({ filler }) => filler.stats.blockCommits),
      "cachestore hits": sum(({ cachestore }) => cachestore?.stats.hits),
      "cachestore failures": sum(({ cachestore }) => cachestore?.stats.readsFailed),
      "chunks pulled": sum(({ replicated }) => replicated?.puller.stats.pulled),
      "copies fetched": sum(({ replicated }) => replicated?.peerCopies.stats.fetched),
    };
  }

  /** Lets go of all processes, the dead included. */
  stop(): void {
    for (const { membership } of this.replicas.values()) membership.stop();
    for (const replica of this.#dead) replica.bury();
  }

  start(replicaId: string): void {
    const medium = this.media.get(replicaId) ?? new Map();
    this.media.set(replicaId, medium);
    this.mesh.blackHoles.delete(replicaId);
    const replica = new SimulatedReplica({
      replicaId,
      seedIds: this.replicaIds.slice(0, 3),
      scenario: this.scenario,
      clock: this.clock,
      chance: this.#chance.fork(),
      network: this.network,
      mesh: this.mesh,
      origin: this.origin,
      medium,
      names: this.#names,
      cachestore: this.cachestore,
      onFault: (thrown) => this.fail(thrown),
      onMetadata: (location, request) => this.#watch(() => this.#checks.metadataAsked(location, request)),
      onList: (request) => this.#watch(() => this.#checks.listAsked(request)),
    });
    this.#options.sabotage?.(replica);
    this.replicas.set(replicaId, replica);
    this.trace.note(replicaId, "starts");
    replica.membership.subscribe(({ replicaId: about, state }) => {
      if (!replica.isRunning) return;
      this.trace.note(replicaId, `takes ${about} for ${state}`);
    });
    replica.membership.subscribeLive(() => {
      if (replica.isRunning) this.#checks.viewsChanged();
    });
    this.#checks.viewsChanged();
    replica.start();
  }

  crash(replicaId: string, loudly: boolean): void {
    const replica = this.replicas.get(replicaId);
    assert.ok(replica);
    this.trace.note(replicaId, loudly ? "is killed" : "loses power");
    replica.crash(loudly);
    this.replicas.delete(replicaId);
    this.#dead.push(replica);
    for (const client of this.#clients) if (client.replica === replica) this.#clients.delete(client);
    this.#checks.viewsChanged();
  }

  partition(sides: readonly (readonly string[])[]): void {
    this.trace.note("net", `parts ${sides.map((side) => side.join("+")).join(" from ")}`);
    this.mesh.partition(sides);
    this.network.partition(...sides.map((side) => side.map(addressOf)));
  }

  heal(): void {
    this.trace.note("net", "heals");
    this.mesh.heal();
    this.network.heal();
  }

  /** A size near that of the object's class; sometimes it is empty, or there is none. */
  sizeOf(keyIndex: number): number | undefined {
    if (this.#chance.happens(0.12)) return undefined;
    if (this.#chance.happens(0.04)) return 0;
    const sizeBytes = objectSizesBytes[keyIndex % objectSizesBytes.length] as number;
    return this.#chance.happens(0.5)
      ? sizeBytes
      : sizeBytes - this.#chance.below(Math.min(sizeBytes - 1, 5000));
  }

  fail(thrown: unknown): void {
    this.#failure ??= { thrown };
  }

  /** Look-ups and listings of an object all over the cluster, for somewhat longer than it may be believed. */
  watch(key: string): void {
    for (let count = 0; count < 40; count += 1) {
      this.clock.timer(this.#chance.between(0, 1.3 * ttlMs), () => this.#enter({ key, reads: "nothing" }));
    }
    for (let count = 0; count < 20; count += 1) {
      this.clock.timer(this.#chance.between(0, 1.3 * ttlMs), () => this.#enterLister(undefined, true));
    }
  }

  /** All clients of one replica, or of all of them, leave at once. */
  desert(): void {
    const replica = this.#chance.happens(0.5) ? this.#chance.oneOf([...this.replicas.values()]) : undefined;
    this.trace.note("herd", `leaves ${replica?.replicaId ?? "all"}`);
    for (const client of this.#clients) if (!replica || client.replica === replica) client.leave();
  }

  /** Many clients want one object at once, all over the cluster. */
  herd(key = this.#chance.oneOf(this.keys)): void {
    if (key === undefined) return;
    this.trace.note("herd", `wants ${key}`);
    for (let count = 2 + this.#chance.below(7); count > 0; count -= 1) {
      this.clock.timer(this.#chance.between(0, 60), () => this.#enter({ key }));
    }
  }

  #enter({ key, replica, reads = "something" }: Entrance = {}): void {
    const { clock, trace } = this;
    replica ??= this.#chance.oneOf([...this.replicas.values()]);
    // Some objects are asked for more than others.
    key ??= this.keys[this.#chance.below(this.#chance.happens(0.3) ? 3 : this.keys.length)];
    if (!replica || key === undefined) return;
    this.#clientsEntered += 1;
    const client = new SimulatedClient({
      name: `c${this.#clientsEntered}`,
      key,
      replica,
      clock,
      chance: this.#chance.fork(),
      trace,
      checks: this.#checks,
      reads,
      origin: this.origin,
    });
    this.#follow(client);
  }

  #enterLister(replica = this.#chance.oneOf([...this.replicas.values()]), isWhole = false): void {
    if (!replica) return;
    const { clock, trace } = this;
    this.#clientsEntered += 1;
    const name = `l${this.#clientsEntered}`;
    const chance = this.#chance.fork();
    this.#follow(new SimulatedLister({ name, replica, clock, chance, trace, checks: this.#checks, isWhole }));
  }

  #follow(client: SimulatedClient | SimulatedLister): void {
    this.#clients.add(client);
    client
      .run()
      .catch((thrown: unknown) => this.fail(thrown))
      .finally(() => this.#clients.delete(client));
  }

  /** Some objects are new ones, and some are where the bad time has left them. */
  #readOnceMore(): void {
    for (let count = 0; count < 2; count += 1) {
      const index = this.#chance.below(this.keys.length);
      this.origin.write(this.keys[index] as string, this.sizeOf(index));
      for (const key of [this.keys[index], this.#chance.oneOf(this.keys)]) {
        for (const replica of this.replicas.values()) if (key) this.#enter({ key, replica, reads: "all" });
      }
    }
    for (const replica of this.replicas.values()) this.#enterLister(replica);
  }

  async #pass(durationMs: number): Promise<void> {
    const endMs = this.clock.monotonic() + durationMs;
    await this.#until("time passes", () => this.clock.monotonic() >= endMs, durationMs + stepMs);
  }

  async #until(what: string, condition: () => boolean, limitMs: number): Promise<void> {
    const startMs = this.clock.monotonic();
    while (!condition()) {
      if (this.clock.monotonic() - startMs >= limitMs) {
        assert.fail(
          `not within ${limitMs} ms: ${what} (${this.#clients.size} clients; ${this.#checks.unrest()})`,
        );
      }
      await this.clock.advance(stepMs);
      this.#watch(() => this.#checks.memoryBounded());
      this.#throwFailure();
    }
  }

  /** For checks within calls of what is checked, which may take what they throw for an answer. */
  #watch(check: () => void): void {
    try {
      check();
    } catch (thrown) {
      this.fail(thrown);
    }
  }

  #throwFailure(): void {
    if (this.#failure) throw this.#failure.thrown;
  }
}
