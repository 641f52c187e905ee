/**
 * Runs attacks one after another against a cluster, and asserts after each of them that the replicas stand as before:
 * they live, answered good clients in time and with the right bytes, logged little, counted the attack, and hold no more
 * memory and sockets than before.
 */
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { MiB } from "../../src/base/units.ts";
import { endProcesses } from "../support/process.ts";
import { until } from "../support/until.ts";
import { AttackThread } from "./attack-thread.ts";
import { FloodCluster, type Held, hotObject, largeObject, scheduled, type Victim } from "./flood-cluster.ts";
import { GoodClients, type Latency } from "./good-clients.ts";

export interface Assault {
  readonly attack: string;
  /** Series that must have grown by so much in all, whatever their other labels. */
  readonly counted?: Counted;
  /** The replica ends the attacker's connections itself, within its time limits. */
  readonly endsItself?: boolean;
}

type Counted = Readonly<Record<string, number>>;

/** How long an attack lasts. */
const attackMsMin = 400;
const attackMsMax = 10_000;
const siegeMsMax = 300_000;
/** Of each good client, before an attack may end. */
const answersWanted = 3;

/** Of good clients during an attack, on a machine that has a core for each replica. */
const p50MaxMs = 200;
const p99MaxMs = 1500;
const latencyMaxMs = 2500;
/** A cold GET waits for the origin too, which the test's own thread serves, and for a permit among other fills. */
const coldPatience = 3;
const slowdownMax = 24;

/** What an attack may leave behind: pages that the allocator keeps, and connections to the origin. */
const keptBytesMax = 96 * MiB;
/** While it runs: `memory.max_bytes` is 64 MiB, and the mesh may hold 64 MiB of requests. */
const peakBytesMax = 256 * MiB;
const keptSocketsMax = 40;
/** Ten lines a minute for each kind, and there are some tens of kinds. */
const logLengthMax = 128 * 1024;
/** libuv accepts one connection in each turn of the event loop, so a queue of them takes its time on a busy machine. */
const returnsWithinMs = 30_000;

/** Series that only a bug makes grow. */
const bugs = [
  /^orca_requests_total\{.*status="500"/,
  /^orca_mesh_requests_failed_total/,
  /^orca_log_lines_dropped_total/,
];

/** `ORCA_SEED=<number>` repeats the luck of a run, `ORCA_ATTACK=<pattern>` makes only attacks whose names match. */
const seedBase = Number(takeVariable("ORCA_SEED") ?? Date.now() % 1_000_000);
const chosen = new RegExp(takeVariable("ORCA_ATTACK") ?? "");

/** Replicas inherit the environment, and reject variables that are no settings. */
function takeVariable(name: string): string | undefined {
  const value = process.env[name];
  delete process.env[name];
  return value;
}

/** A test of one listener, with a subtest for each attack. */
export function siege(
  name: string,
  assaults: readonly Assault[],
  options: { readonly hasBytesPort?: boolean } = {},
): void {
  test(name, { timeout: siegeMsMax }, async (context) => {
    context.after(endProcesses);
    const begun = await Siege.begin(context, options.hasBytesPort ?? false);
    for (const assault of assaults) {
      if (!chosen.test(assault.attack)) continue;
      await context.test(assault.attack, (each) => begun.withstand(assault, (line) => each.diagnostic(line)));
    }
  });
}

class Siege {
  readonly #cluster: FloodCluster;
  readonly #clients: GoodClients;
  readonly #seed: number;
  readonly #attacker = new AttackThread();
  /** Of each replica, before the first attack. */
  #held: readonly (Held & { readonly victim: Victim })[] = [];
  #attacks = 0;

  private constructor(cluster: FloodCluster, clients: GoodClients, seed: number) {
    this.#cluster = cluster;
    this.#clients = clients;
    this.#seed = seed;
  }

  static async begin(context: TestContext, hasBytesPort: boolean): Promise<Siege> {
    context.diagnostic(`ORCA_SEED=${seedBase} repeats these attacks`);
    const cluster = await FloodCluster.start(hasBytesPort);
    const clients = await GoodClients.start(cluster);
    const begun = new Siege(cluster, clients, seedBase);
    context.after(() => begun.end());
    // Code is compiled, and memory fills to its bound, before anything is measured.
    await until(() => clients.areServed(largeObject.key, largeObject));
    await until(
      () =>
        clients.failures.length > 0 ||
        [...clients.latencies().values()].every(({ answers }) => answers >= 30),
    );
    assert.deepEqual(clients.failures, [], "good clients before any attack");
    for (const victim of cluster.victims) await victim.collectGarbage();
    begun.#held = cluster.victims.map((victim) => ({ victim, ...victim.held() }));
    return begun;
  }

  async withstand(
    { attack, counted = {}, endsItself = false }: Assault,
    report: (line: string) => void,
  ): Promise<void> {
    const { victims, target } = this.#cluster;
    // An attack that failed has left its connections.
    await this.#attacker.leave();
    const before = await Promise.all(victims.map((victim) => stateOf(victim)));
    for (const victim of victims) victim.forgetPeak();
    const own = scheduled(process.pid);
    this.#attacks += 1;
    const number = this.#attacks;
    this.#clients.begin();
    this.#attacker.begin({ attack, seed: this.#seed + number, target, localAddress: `127.0.1.${number}` });
    await this.#attackTook(before, counted);
    for (const { replica } of victims) {
      if (!replica.child.running) throw replica.child.failure(`ended during ${this.#after(attack)}`);
    }
    const latencies = this.#clients.latencies();
    const failures = [...this.#clients.failures];
    const slowdowns = before.map(({ victim, schedule }) => slowdownSince(schedule, victim.pid));
    const slowdown = Math.max(slowdownSince(own, process.pid), ...slowdowns);
    const { connections, sentBytes } = await this.#attacker.stop();
    report(
      `${connections} connections, ${Math.round(sentBytes / 1024)} KiB; ${slowest(latencies)}; 1/${slowdown.toFixed(1)} of a core`,
    );
    assert.ok(connections > 0, "the attacker has connected");
    assert.deepEqual(failures, [], this.#after(attack));
    this.#assertServed(latencies, slowdown);
    if (endsItself) await this.#returned(attack);
    await this.#attacker.leave();
    await this.#returned(attack);
    await this.#assertUnharmed(attack, before, counted);
  }

  /** Until the attack has lasted and was counted, and each good client was served meanwhile: a busy machine takes longer. */
  async #attackTook(before: readonly State[], counted: Counted): Promise<void> {
    const isDead = (): boolean => before.some(({ victim }) => !victim.replica.child.running);
    const endMs = performance.now() + attackMsMax;
    await sleep(attackMsMin);
    while (performance.now() < endMs && !isDead()) {
      const isMeasured = [...this.#clients.latencies().values()].every(
        ({ answers }) => answers >= answersWanted,
      );
      if (isMeasured && shortOf(await growthSince(before), counted).length === 0) return;
      await sleep(100);
    }
  }

  async end(): Promise<void> {
    await this.#attacker.end();
    await this.#clients.stop();
    await this.#cluster.stop();
  }

  #after(attack: string): string {
    return `"${attack}" (ORCA_SEED=${this.#seed})`;
  }

  #assertServed(latencies: ReadonlyMap<string, Latency>, slowdown: number): void {
    for (const [name, { answers, p50Ms, p99Ms, maxMs }] of latencies) {
      const patience = name.endsWith("cold") ? slowdown * coldPatience : slowdown;
      const shares = [p50Ms / p50MaxMs, p99Ms / p99MaxMs, maxMs / latencyMaxMs];
      const what = `${name}: ${answers} answers; ${[p50Ms, p99Ms, maxMs].map(Math.round).join("/")} ms, at 1/${slowdown.toFixed(1)} of a core`;
      assert.ok(answers > 0 && shares.every((share) => share <= patience), what);
    }
  }

  /** Until memory and sockets are as before the first attack. */
  async #returned(attack: string): Promise<void> {
    const excess = (): string[] =>
      this.#held.flatMap(({ victim, sockets, residentBytes }) => {
        const held = victim.held();
        const more = held.sockets - sockets;
        const moreBytes = held.residentBytes - residentBytes;
        const found: string[] = [];
        if (more > keptSocketsMax) found.push(`${victim.name}: ${more} sockets more`);
        if (moreBytes > keptBytesMax) found.push(`${victim.name}: ${Math.round(moreBytes / MiB)} MiB more`);
        return found;
      });
    try {
      // The attacker's connections that wait to be accepted are before this one.
      await until(() => this.#clients.areServed(hotObject.key, hotObject), returnsWithinMs);
      await until(async () => {
        if (excess().length === 0) return true;
        for (const victim of this.#cluster.victims) await victim.collectGarbage();
        return excess().length === 0;
      }, returnsWithinMs);
    } catch (thrown) {
      if (excess().length === 0) throw thrown;
      assert.deepEqual(excess(), [], this.#after(attack));
    }
  }

  async #assertUnharmed(attack: string, before: readonly State[], counted: Counted): Promise<void> {
    for (const { victim, printedLength } of before) {
      const { child } = victim.replica;
      const what = `${victim.name} after ${this.#after(attack)}`;
      const printed = child.printedLength - printedLength;
      assert.ok(printed <= logLengthMax, `${what}: ${printed} characters of log`);
      const alarm = child.output.find((line) => /uncaught|"level":"?(?:fatal|60)/i.test(line));
      assert.equal(alarm, undefined, what);
      const usualBytes = this.#held.find((held) => held.victim === victim)?.residentBytes ?? 0;
      const peak = Math.round((victim.peakBytes() - usualBytes) / MiB);
      assert.ok(peak <= peakBytesMax / MiB, `${what}: ${peak} MiB more at its peak`);
    }
    const growth = await growthSince(before);
    const grownBugs = [...growth].filter(([series, by]) => by > 0 && bugs.some((bug) => bug.test(series)));
    assert.deepEqual(grownBugs, [], this.#after(attack));
    assert.deepEqual(shortOf(growth, counted), [], this.#after(attack));
  }
}

/** By how much each series has grown, over both replicas. */
async function growthSince(before: readonly State[]): Promise<Map<string, number>> {
  const growth = new Map<string, number>();
  for (const { victim, metrics } of before) {
    for (const [series, value] of await victim.metrics()) {
      growth.set(series, (growth.get(series) ?? 0) + value - (metrics.get(series) ?? 0));
    }
  }
  return growth;
}

/** The counts that have not grown by as much as they must. */
function shortOf(growth: ReadonlyMap<string, number>, counted: Counted): string[] {
  return Object.entries(counted).flatMap(([prefix, least]) => {
    let sum = 0;
    for (const [series, by] of growth) if (series.startsWith(prefix)) sum += by;
    return sum < least ? [`${prefix} grew by ${sum}, expected ${least}`] : [];
  });
}

/** The three clients that waited longest, with median, p99 and maximum. */
function slowest(latencies: ReadonlyMap<string, Latency>): string {
  const sorted = [...latencies].toSorted(([, left], [, right]) => right.maxMs - left.maxMs);
  return sorted
    .slice(0, 3)
    .map(([name, { p50Ms, p99Ms, maxMs }]) => `${name} ${[p50Ms, p99Ms, maxMs].map(Math.round).join("/")} ms`)
    .join(", ");
}

interface State {
  readonly victim: Victim;
  readonly printedLength: number;
  readonly metrics: ReadonlyMap<string, number>;
  readonly schedule: Schedule;
}

type Schedule = ReturnType<typeof scheduled>;

async function stateOf(victim: Victim): Promise<State> {
  const { printedLength } = victim.replica.child;
  const metrics = await victim.metrics();
  return { victim, printedLength, metrics, schedule: scheduled(victim.pid) };
}

/**
 * How many times as long a process has taken as it would have on a machine of its own. Other tests run beside this one,
 * and what they take is no fault of the replica.
 */
function slowdownSince(then: Schedule, pid: number): number {
  const now = scheduled(pid);
  const ranNs = now.ranNs - then.ranNs;
  const waitedNs = now.waitedNs - then.waitedNs;
  return ranNs > 0 ? Math.min((ranNs + waitedNs) / ranNs, slowdownMax) : 1;
}
