/** Views that the test makes different, and statements about a replica that the replica must refute. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { StateChange } from "../../src/membership/member.ts";
import type { Membership } from "../../src/membership/membership.ts";
import { memberOf } from "../support/member-of.ts";
import { ClusterFixture } from "../support/membership-fixture.ts";

/** Sends statements to `to` alone, as if `from` had made them. */
function tell(cluster: ClusterFixture, from: string, to: string, ...changes: StateChange[]): void {
  const sender = cluster.membership(from).self;
  cluster.membership(to).receivePing({ sender, targetId: to, gossip: { changes, rumors: [] } });
}

function about(membership: Membership, fields: Partial<StateChange["member"]>): StateChange {
  return { member: { ...membership.self, ...fields }, reporterId: "r2" };
}

test("Membership: a member that does not exist is found dead, and forgotten by all", async () => {
  const cluster = await ClusterFixture.running(3);
  tell(cluster, "r2", "r1", { member: memberOf("phantom"), reporterId: "r2" });
  assert.equal(cluster.membership("r1").members().length, 4);
  assert.equal(cluster.membership("r1").live.length, 3);
  const isGone = () =>
    cluster
      .running()
      .every(({ membership }) =>
        membership.members().every(({ replicaId, state }) => replicaId !== "phantom" || state === "dead"),
      );
  const tookMs = await cluster.clock.until(isGone, 20_000);
  assert.ok(tookMs !== undefined && tookMs <= 12_000, `${tookMs} ms`);
  assert.ok(cluster.agrees());
  await cluster.clock.advance(3_700_000);
  assert.ok(cluster.running().every(({ membership }) => membership.members().length === 3));
  cluster.stop();
});

test("Membership: a replica that is falsely reported suspect, dead or left refutes it", async () => {
  for (const state of ["suspect", "dead", "left"] as const) {
    const cluster = await ClusterFixture.running(5);
    const before = cluster.membership("r3").self.incarnation;
    tell(cluster, "r2", "r1", about(cluster.membership("r3"), { state }));
    assert.equal(cluster.membership("r1").live.length, state === "suspect" ? 5 : 4);
    const tookMs = await cluster.clock.until(() => cluster.agrees(), 20_000);
    assert.ok(tookMs !== undefined && tookMs <= 2000, `${state}: ${tookMs} ms`);
    assert.equal(cluster.membership("r3").self.incarnation, before + 1);
    assert.equal(cluster.membership("r3").stats.table.refutations, 1);
    cluster.stop();
  }
});

test("Membership: views that all differ converge", async () => {
  for (let seed = 1; seed <= 20; seed += 1) {
    const cluster = await ClusterFixture.running(5, { seed, loss: 0.1 });
    for (const { replicaId } of cluster.running()) {
      for (const victim of cluster.running()) {
        if (victim.replicaId === replicaId || cluster.random.next() < 0.5) continue;
        const state = cluster.random.next() < 0.5 ? "dead" : "left";
        tell(cluster, "r2", replicaId, about(victim.membership, { state }));
      }
      tell(cluster, "r2", replicaId, { member: memberOf(`phantom-of-${replicaId}`), reporterId: "r2" });
    }
    assert.notEqual(await cluster.clock.until(() => cluster.agrees(), 60_000), undefined, `seed ${seed}`);
    cluster.stop();
  }
});

test("Membership: replayed statements of an older incarnation change nothing and are counted", async () => {
  const cluster = await ClusterFixture.running(3);
  const [first, second] = [cluster.membership("r1"), cluster.membership("r2")];
  const old = first.self.incarnation - 1;
  const before = second.live;
  for (const state of ["alive", "suspect", "dead", "left"] as const) {
    tell(cluster, "r3", "r2", about(first, { state, incarnation: old }));
    tell(cluster, "r3", "r1", about(first, { state, incarnation: old }));
  }
  assert.equal(second.live, before, "the same array: nothing has changed");
  assert.equal(second.stats.table.stale, 4);
  assert.equal(first.self.incarnation, old + 1);
  cluster.stop();
});

test("Membership: after a restart with a clock that went back, a replica raises its incarnation above the earlier one", async () => {
  const cluster = await ClusterFixture.running(3);
  const membership = cluster.membership("r1");
  const ahead = membership.self.incarnation + 1_000_000;
  tell(cluster, "r3", "r1", about(membership, { incarnation: ahead }));
  assert.equal(membership.self.incarnation, ahead + 1);
  tell(cluster, "r3", "r1", about(membership, {}));
  assert.equal(membership.self.incarnation, ahead + 1, "an echo needs no answer");
  await cluster.clock.advance(1000);
  for (const { membership: each } of cluster.running()) {
    assert.equal(each.live.find(({ replicaId }) => replicaId === "r1")?.incarnation, ahead + 1);
  }
  cluster.stop();
});

test("Membership.live: is the same array until a live member changes", async () => {
  const cluster = await ClusterFixture.running(3);
  const membership = cluster.membership("r1");
  const { live } = membership;
  await cluster.clock.advance(60_000);
  assert.equal(membership.live, live);
  assert.deepEqual(
    live.map(({ replicaId }) => replicaId),
    ["r1", "r2", "r3"],
  );
  cluster.start("r4");
  await cluster.clock.advance(1000);
  assert.notEqual(membership.live, live);
  assert.equal(live.length, 3, "an old view does not change");
  cluster.stop();
});

test("Membership.subscribe: reports each change once, with the state before", async () => {
  const cluster = await ClusterFixture.running(3);
  const changes: string[] = [];
  const end = cluster.membership("r1").subscribe((member, previous) => {
    changes.push(`${member.replicaId} ${previous?.state ?? "unknown"} -> ${member.state}`);
  });
  cluster.start("r4");
  await cluster.clock.advance(1000);
  cluster.crash("r4");
  await cluster.clock.advance(20_000);
  cluster.start("r4");
  await cluster.clock.advance(1000);
  await cluster.leave("r4");
  assert.deepEqual(changes, [
    "r4 unknown -> alive",
    "r4 alive -> suspect",
    "r4 suspect -> dead",
    "r4 dead -> alive",
    "r4 alive -> left",
  ]);
  end();
  cluster.start("r4");
  await cluster.clock.advance(1000);
  assert.equal(changes.length, 5);
  cluster.stop();
});

test("Membership.probeNext: the member is probed next, and is not suspected while it answers", async () => {
  const cluster = await ClusterFixture.running(5);
  cluster.membership("r1").probeNext("r4");
  cluster.membership("r1").probeNext("unknown");
  await cluster.clock.advance(10_000);
  assert.deepEqual(cluster.deaths, []);
  assert.equal(cluster.membership("r1").stats.table.suspicions, 0);
  cluster.stop();
});

test("Membership: a member that makes up news writes a bounded number of lines into the log", async () => {
  const cluster = await ClusterFixture.running(2);
  const r1 = cluster.running().find(({ replicaId }) => replicaId === "r1");
  assert.ok(r1);
  const before = r1.logger.events.length;
  for (let index = 0; index < 300; index += 1) {
    tell(cluster, "r2", "r1", { member: memberOf(`phantom-${index}`), reporterId: "r2" });
    await cluster.clock.advance(40);
    // The address that another replica claims to have, with this replica's id.
    tell(cluster, "r2", "r1", about(r1.membership, { address: `r1:${index % 2}` }));
  }
  const lines = r1.logger.events.slice(before);
  const told = (pattern: RegExp) =>
    lines.filter(({ level, message }) => level !== "debug" && pattern.test(message)).length;
  assert.ok(told(/is alive$/) <= 100, String(told(/is alive$/)));
  assert.equal(told(/^Two replicas have the id "r1"/), 1);
  cluster.stop();
});
