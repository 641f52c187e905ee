/**
 * How membership behaves with its default settings, on five replicas, over many seeds. Each criterion is an entry of a
 * table, because the test runs it in a thread of its own.
 */
import assert from "node:assert/strict";
import { ClusterFixture } from "../support/membership-fixture.ts";

const seeds = Array.from({ length: 40 }, (_, index) => index + 1);
const ids = ["r1", "r2", "r3", "r4", "r5"];

/** Runs `scenario` for every seed; what it answers is the time it took, which must be at most `limitMs`. */
async function within(
  limitMs: number,
  scenario: (seed: number) => Promise<number | undefined>,
): Promise<void> {
  for (const seed of seeds) {
    const tookMs = await scenario(seed);
    assert.ok(tookMs !== undefined && tookMs <= limitMs, `seed ${seed}: ${tookMs ?? "never"} ms`);
  }
}

/** By their sentences. */
export const convergence: Readonly<Record<string, () => Promise<void>>> = {
  "a join is seen by all within 2 s": async () => {
    await within(2000, async (seed) => {
      const cluster = await ClusterFixture.running(4, { seed });
      await cluster.clock.advance(cluster.random.next() * 10_000);
      cluster.start("r5");
      const tookMs = await cluster.clock.until(() => cluster.agrees(), 10_000);
      assert.deepEqual(cluster.deaths, []);
      cluster.stop();
      return tookMs;
    });
  },
  "replicas that all start at once find one another within 2 s": async () => {
    await within(2000, async (seed) => {
      const cluster = new ClusterFixture({ seed });
      for (const id of ids) cluster.start(id);
      const tookMs = await cluster.clock.until(() => cluster.agrees(), 10_000);
      cluster.stop();
      return tookMs;
    });
  },
  "a crash is seen by all within 10 s, and nobody else is taken for dead": async () => {
    await within(10_000, async (seed) => {
      const cluster = await ClusterFixture.running(5, { seed });
      await cluster.clock.advance(cluster.random.next() * 10_000);
      cluster.crash("r2");
      const tookMs = await cluster.clock.until(() => cluster.allSee("r2", false), 60_000);
      await cluster.clock.advance(10_000);
      assert.deepEqual(
        cluster.deaths.map(({ replicaId }) => replicaId),
        Array(4).fill("r2"),
      );
      cluster.stop();
      return tookMs;
    });
  },
  "a partition heals by itself within 10 s of its end": async () => {
    await within(10_000, async (seed) => {
      const cluster = await ClusterFixture.running(5, { seed });
      const cut = 1 + (seed % 4);
      cluster.partition(ids.slice(0, cut), ids.slice(cut));
      // One that is cut off from all others takes longest: it doubts itself, and slows down.
      await cluster.clock.advance(60_000 + cluster.random.next() * 60_000);
      assert.equal(cluster.membership("r1").live.length, cut, "each side goes on by itself");
      assert.equal(cluster.membership("r5").live.length, 5 - cut);
      cluster.network.heal();
      const tookMs = await cluster.clock.until(() => cluster.agrees(), 60_000);
      cluster.stop();
      return tookMs;
    });
  },
  "a partition heals within 10 s where no seed is on the other side": async () => {
    await within(10_000, async (seed) => {
      const cluster = new ClusterFixture({ seed });
      for (const id of ids) cluster.start(id, { seeds: ["r1"] });
      await cluster.clock.advance(5000);
      // Nobody's seed but a member's own memory leads from r1 to the others.
      cluster.partition(["r1"], ids.slice(1));
      await cluster.clock.advance(60_000);
      cluster.network.heal();
      const tookMs = await cluster.clock.until(() => cluster.agrees(), 60_000);
      cluster.stop();
      return tookMs;
    });
  },
  "a replica that stands still for 2 s is not taken for dead, and takes nobody for dead": async () => {
    for (const seed of seeds) {
      const cluster = await ClusterFixture.running(5, { seed });
      for (const { clock } of cluster.running()) {
        await cluster.clock.advance(cluster.random.next() * 2000);
        clock.stall(2000);
        await cluster.clock.advance(10_000);
      }
      assert.deepEqual(cluster.deaths, [], `seed ${seed}`);
      assert.ok(cluster.agrees(), `seed ${seed}`);
      for (const { membership } of cluster.running()) {
        assert.equal(membership.stats.stalls.stalls, 1);
        assert.ok(membership.healthScore <= 1);
      }
      cluster.stop();
    }
  },
  "a replica that wakes after a minute does not blame the others for its sleep": async () => {
    for (const seed of seeds) {
      const cluster = await ClusterFixture.running(5, { seed });
      cluster.replicas.get("r4")?.clock.stall(60_000);
      await cluster.clock.advance(60_000);
      assert.ok(!cluster.membership("r1").live.some(({ replicaId }) => replicaId === "r4"));
      const healedMs = await cluster.clock.until(() => cluster.agrees(), 10_000);
      assert.notEqual(healedMs, undefined, `seed ${seed}: it is taken in again`);
      assert.deepEqual(
        cluster.deaths.filter(({ believedBy }) => believedBy === "r4"),
        [],
      );
      cluster.stop();
    }
  },
  "a replica that leaves is gone for all within 1 s, and is not suspected": async () => {
    await within(1000, async (seed) => {
      const cluster = await ClusterFixture.running(5, { seed });
      const leaving = cluster.membership("r5").leave();
      const remaining = cluster.running().filter(({ replicaId }) => replicaId !== "r5");
      const tookMs = await cluster.clock.until(
        () => remaining.every(({ membership }) => membership.live.length === 4),
        10_000,
      );
      await cluster.clock.advance(1000);
      await leaving;
      for (const { membership } of remaining) {
        assert.equal(membership.stats.table.suspicions, 0);
        assert.equal(membership.members().find(({ replicaId }) => replicaId === "r5")?.state, "left");
      }
      cluster.stop();
      return tookMs;
    });
  },
  "a replica is in again within 2 s of its restart, whether it had been found dead or not": async () => {
    await within(2000, async (seed) => {
      const cluster = await ClusterFixture.running(5, { seed });
      cluster.crash("r3");
      await cluster.clock.advance(seed % 2 === 0 ? 500 : 20_000);
      cluster.start("r3");
      const tookMs = await cluster.clock.until(() => cluster.agrees(), 10_000);
      await cluster.clock.advance(20_000);
      assert.deepEqual(cluster.falseDeaths(), []);
      cluster.stop();
      return tookMs;
    });
  },
  "30 minutes of churn take nobody for dead who runs": async () => {
    for (const seed of seeds.slice(0, 20)) {
      const cluster = await ClusterFixture.running(5, { seed });
      const endMs = cluster.clock.monotonic() + 30 * 60_000;
      let comings = 0;
      while (cluster.clock.monotonic() < endMs) {
        await cluster.clock.advance(cluster.random.next() * 20_000);
        const id = ids[Math.floor(cluster.random.next() * ids.length)] as string;
        comings += 1;
        if (!cluster.replicas.has(id)) cluster.start(id);
        else if (cluster.replicas.size > 2 && cluster.random.next() < 0.5) cluster.crash(id);
        else if (cluster.replicas.size > 2) await cluster.leave(id);
      }
      assert.deepEqual(cluster.falseDeaths(), [], `seed ${seed}`);
      assert.ok(comings > 100);
      assert.notEqual(await cluster.clock.until(() => cluster.agrees(), 30_000), undefined, `seed ${seed}`);
      cluster.stop();
    }
  },
  "30 minutes with one message in twenty lost take nobody for dead": async () => {
    for (const seed of seeds.slice(0, 10)) {
      const cluster = await ClusterFixture.running(5, { seed, loss: 0.05 });
      await cluster.clock.advance(30 * 60_000);
      assert.deepEqual(cluster.deaths, [], `seed ${seed}`);
      cluster.stop();
    }
  },
  "a quiet cluster sends one probe a second each, and no gossip": async () => {
    const cluster = await ClusterFixture.running(5);
    const before = cluster.running().map(({ membership }) => membership.stats.messenger.pings);
    await cluster.clock.advance(60_000);
    for (const [index, { membership }] of cluster.running().entries()) {
      assert.equal(membership.stats.messenger.pings - (before[index] ?? 0), 60);
    }
    cluster.stop();
    assert.equal(cluster.clock.pendingTimers, 0);
  },
};

export async function converge(criterion: string): Promise<void> {
  const run = convergence[criterion];
  assert.ok(run, criterion);
  await run();
}
