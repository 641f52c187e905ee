/** How a view forgets members that are dead or left, and that replicas with new ids never fill it. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { memberOf } from "../support/member-of.ts";
import { ClusterFixture } from "../support/membership-fixture.ts";

/** A cluster of `size` whose members are replaced one by one by members with new ids; only r1 stays and sees them all. */
async function rollingRestarts(
  size: number,
  rounds: number,
  end: (cluster: ClusterFixture, replicaId: string) => Promise<void> | void,
): Promise<{ cluster: ClusterFixture; knownMax: number }> {
  const cluster = await ClusterFixture.running(size, { settings: { membersMax: size * 4 } });
  let knownMax = 0;
  for (let round = 1; round <= rounds; round += 1) {
    for (const replicaId of [...cluster.replicas.keys()].filter((id) => id !== "r1")) {
      // Seeds that are gone say nothing, so each new member gets two that run.
      const seeds = [...cluster.replicas.keys()].filter((id) => id !== replicaId).slice(-2);
      await end(cluster, replicaId);
      cluster.start(`${replicaId.split("-")[0]}-${round}`, { seeds });
      await cluster.clock.advance(2000);
      for (const { membership } of cluster.running()) {
        knownMax = Math.max(knownMax, membership.members().length);
      }
    }
  }
  return { cluster, knownMax };
}

for (const size of [4, 8]) {
  test(`Membership: ${size} members without fixed ids survive rolling restarts that fill the view ten times`, async () => {
    const { cluster, knownMax } = await rollingRestarts(size, 40, (its, id) => its.leave(id));
    assert.ok(knownMax <= size * 4, `${knownMax} members known`);
    for (const { membership } of cluster.running()) {
      assert.equal(membership.stats.table.rejectedFull, 0);
      assert.equal(membership.live.length, size);
    }
    await cluster.clock.advance(80_000);
    for (const { membership } of cluster.running()) assert.equal(membership.members().length, size);
    cluster.stop();
  });
}

test("Membership: members without fixed ids that crash one after the other fill no view", async () => {
  const size = 6;
  const { cluster, knownMax } = await rollingRestarts(size, 8, async (its, id) => {
    its.crash(id);
    await its.clock.advance(20_000);
  });
  assert.equal(knownMax, size * 4, "dead members are remembered as long as there is room");
  assert.notEqual(await cluster.clock.until(() => cluster.agrees(), 30_000), undefined);
  for (const { membership } of cluster.running()) assert.equal(membership.stats.table.rejectedFull, 0);
  assert.deepEqual(cluster.falseDeaths(), []);
  cluster.stop();
});

test("Membership: a full view forgets the oldest left member first, then the oldest dead one, and no live one", async () => {
  const cluster = await ClusterFixture.running(1, { settings: { membersMax: 6 } });
  const membership = cluster.membership("r1");
  const say = (...members: ReturnType<typeof memberOf>[]) => {
    const changes = members.map((member) => ({ member, reporterId: "x1" }));
    membership.receivePing({ sender: memberOf("x1"), targetId: "r1", gossip: { changes, rumors: [] } });
  };
  const ids = () => membership.members().map(({ replicaId }) => replicaId);
  say(memberOf("d1"), memberOf("d2"), memberOf("l1"), memberOf("l2"));
  for (const id of ["d1", "d2"]) say({ ...memberOf(id), state: "dead" });
  for (const id of ["l2", "l1"]) say({ ...memberOf(id), state: "left" });
  const expected = [
    ["r1", "x1", "d1", "d2", "l1", "n1"],
    ["r1", "x1", "d1", "d2", "n1", "n2"],
    ["r1", "x1", "d2", "n1", "n2", "n3"],
    ["r1", "x1", "n1", "n2", "n3", "n4"],
    ["r1", "x1", "n1", "n2", "n3", "n4"],
  ];
  for (const [index, after] of expected.entries()) {
    say(memberOf(`n${index + 1}`));
    assert.deepEqual(ids(), after);
  }
  assert.equal(membership.stats.table.rejectedFull, 1);
  cluster.stop();
});

test("Membership: stale gossip about a member that left and was forgotten costs one more death, and revives nobody for good", async () => {
  const cluster = await ClusterFixture.running(4);
  const gone = cluster.membership("r4").self;
  await cluster.leave("r4");
  await cluster.clock.advance(75_000);
  for (const { membership } of cluster.running()) assert.equal(membership.members().length, 3);
  // A replica that never heard of the goodbye still takes it for alive.
  cluster.membership("r1").receiveSync({
    sender: cluster.membership("r2").self,
    members: [gone],
    settings: {},
    gossip: { changes: [], rumors: [] },
  });
  assert.ok(
    !cluster.membership("r1").live.some(({ replicaId }) => replicaId === "r4"),
    "it has not answered",
  );
  await cluster.clock.advance(20_000);
  const states = cluster.running().map(({ membership }) => membership.members().at(-1)?.state);
  assert.deepEqual(states, ["dead", "dead", "dead"]);
  await cluster.clock.advance(3_700_000);
  for (const { membership } of cluster.running()) {
    assert.equal(membership.members().length, 3);
    assert.ok(membership.stats.table.joins <= 4);
  }
  assert.deepEqual(cluster.falseDeaths(), []);
  cluster.stop();
});
