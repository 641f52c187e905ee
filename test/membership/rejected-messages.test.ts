/** Messages that membership rejects, and that must not change its state. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Member } from "../../src/membership/member.ts";
import type { Gossip } from "../../src/membership/membership-message.ts";
import type { Rumor } from "../../src/membership/rumor.ts";
import { memberOf } from "../support/member-of.ts";
import { agreedSettings, ClusterFixture } from "../support/membership-fixture.ts";
import type { RecordedLogger } from "../support/recorded-logger.ts";
import { rejectsWith } from "../support/rejects-with.ts";
import { throwsWith } from "../support/throws-with.ts";

const nothing: Gossip = { changes: [], rumors: [] };

function ping(sender: Member, gossip: Gossip = nothing, targetId = "r1") {
  return { sender, targetId, gossip };
}

function errorsOf(logger: RecordedLogger | undefined): string[] {
  assert.ok(logger);
  return logger.events.filter(({ level }) => level === "error").map(({ message }) => message);
}

function rumor(fields: Partial<Rumor>): Rumor {
  const body = { originId: "o", bucket: "b", objectKey: "k" };
  return { kind: "invalidation", id: "x", sizeBytes: 100, body, ...fields } as Rumor;
}

test("Membership: a malformed or oversize message is rejected as a whole, and counted", async () => {
  const cluster = await ClusterFixture.running(2);
  const membership = cluster.membership("r1");
  const before = membership.live;
  const good = { member: memberOf("r9"), reporterId: "r2" };
  const gossips: readonly Gossip[] = [
    { changes: [good, { member: memberOf("r8", { incarnation: -1 }), reporterId: "r2" }], rumors: [] },
    { changes: [good, { member: memberOf("r8", { address: "" }), reporterId: "r2" }], rumors: [] },
    { changes: [good, { member: memberOf("r8"), reporterId: "x".repeat(5000) }], rumors: [] },
    { changes: Array(5000).fill(good), rumors: [] },
    { changes: [good], rumors: [rumor({ id: "" })] },
    { changes: [good], rumors: [rumor({ id: "x".repeat(5000) })] },
    { changes: [good], rumors: [rumor({ kind: "weather" as "invalidation" })] },
    { changes: [good], rumors: [rumor({ sizeBytes: Number.NaN })] },
    { changes: [good], rumors: Array(20).fill(rumor({ sizeBytes: 100_000 })) },
    { changes: [good], rumors: Array(10_000).fill(rumor({ sizeBytes: 1 })) },
  ];
  for (const gossip of gossips) {
    throwsWith("invalid_argument", () => membership.receivePing(ping(memberOf("r2"), gossip)));
  }
  throwsWith("invalid_argument", () => membership.receivePing(ping(memberOf("r2", { state: "dead" }))));
  const tooMany = Array.from({ length: 1025 }, (_, index) => memberOf(`x${index}`));
  throwsWith("invalid_argument", () =>
    membership.receiveSync({
      sender: memberOf("r2"),
      members: tooMany,
      settings: agreedSettings.settings,
      gossip: nothing,
    }),
  );
  assert.equal(membership.stats.messenger.rejectedMalformed, gossips.length + 2);
  assert.equal(membership.live, before);
  assert.equal(membership.stats.rumors.heard, 0);
  cluster.stop();
});

test("Membership: a malformed target is rejected, and not pinged", async () => {
  const cluster = await ClusterFixture.running(2);
  const membership = cluster.membership("r1");
  const { pings } = membership.stats.messenger;
  const target = memberOf("r9", { address: "//evil" });
  const message = { sender: memberOf("r2"), target, timeoutMs: 100, gossip: nothing };
  await rejectsWith("invalid_argument", membership.receivePingIndirect(message));
  assert.equal(membership.stats.messenger.pings, pings);
  cluster.stop();
});

test("Membership: a replica with another configuration is rejected, with the setting named on both sides", async () => {
  const cluster = await ClusterFixture.running(3);
  const other = { ...agreedSettings, settings: { ...agreedSettings.settings, "chunking.size": "1048576" } };
  const stranger = cluster.start("r4", { agreedSettings: other });
  await cluster.clock.advance(30_000);
  assert.deepEqual(stranger.membership.live, [stranger.membership.self]);
  assert.ok(
    cluster.running().every(({ replicaId, membership }) => {
      return replicaId === "r4" || membership.live.length === 3;
    }),
  );
  assert.ok(cluster.membership("r1").stats.messenger.rejectedMismatch > 0);
  const errors = stranger.logger.events.filter(({ level }) => level === "error");
  assert.equal(errors.length, 3, "once for each seed, however often it is contacted");
  assert.match(errors[0]?.message ?? "", /chunking\.size is "1048576" there and "8388608" here/);
  assert.match(stranger.membership.notice ?? "", /^refused by r\d: chunking\.size; refused by /);
  for (const replicaId of ["r1", "r2", "r3"]) {
    const { logger, membership } = cluster.replicas.get(replicaId) ?? assert.fail(replicaId);
    const refusals = logger.events.filter(({ level }) => level === "error");
    assert.equal(refusals.length, 1, "once a minute for each peer");
    assert.match(refusals[0]?.message ?? "", /Cannot be in one cluster with "r4".*chunking\.size/);
    assert.equal(membership.notice, "refuses r4: chunking.size");
  }
  await cluster.clock.advance(60_000);
  assert.equal(errorsOf(stranger.logger).length, 6);
  stranger.membership.stop();
  await cluster.clock.advance(121_000);
  assert.equal(cluster.membership("r1").notice, null);
  cluster.stop();
});

test("Membership: a replica of another cluster is rejected, even if a member vouches for it", async () => {
  const cluster = await ClusterFixture.running(2);
  const membership = cluster.membership("r1");
  const foreign = memberOf("r9", { clusterName: "other.test" });
  const error = throwsWith("config_invalid", () => membership.receivePing(ping(foreign)));
  assert.match(error.message, /server_name is "other.test" there and "orca.test" here/);
  const gossip = { changes: [{ member: foreign, reporterId: "r2" }], rumors: [] };
  membership.receivePing(ping(cluster.membership("r2").self, gossip));
  assert.equal(membership.stats.table.rejectedForeign, 1);
  assert.equal(membership.members().length, 2);
  cluster.stop();
});

test("Membership.admit: a flood on one session is not read, and messages of others are", async () => {
  const cluster = await ClusterFixture.running(3);
  const membership = cluster.membership("r1");
  const { fingerprint } = membership.self;
  const source = { sentBytes: 0 };
  let rejected = 0;
  for (let count = 0; count < 1000; count += 1) {
    try {
      assert.equal(membership.admit(source, fingerprint), true);
    } catch {
      rejected += 1;
    }
  }
  assert.ok(rejected >= 870);
  assert.equal(membership.stats.gate.overRate, rejected);
  throwsWith("overloaded", () => membership.admit(source, fingerprint));
  assert.equal(membership.admit({ sentBytes: 0 }, fingerprint), true);
  assert.equal(membership.admit({ sentBytes: 0 }, "another"), false);
  assert.equal(membership.admit({ sentBytes: 0 }, null), false);
  await cluster.clock.advance(20_000);
  assert.deepEqual(cluster.deaths, []);
  cluster.stop();
});

test("Membership: a thousand invented members change neither shares nor placement, and are forgotten", async () => {
  const cluster = await ClusterFixture.running(3);
  const membership = cluster.membership("r1");
  const { live } = membership;
  let changes = 0;
  membership.subscribeLive(() => void (changes += 1));
  const members = Array.from({ length: 1000 }, (_, index) => memberOf(`x${index}`));
  const { self } = cluster.membership("r2");
  const { settings } = agreedSettings;
  membership.receiveSync({ sender: self, members, settings, gossip: nothing });
  assert.equal(membership.members().length, 1003);
  for (let second = 0; second < 120; second += 1) {
    await cluster.clock.advance(1000);
    assert.equal(membership.live, live);
  }
  assert.equal(changes, 0);
  const states = membership.members().map(({ state }) => state);
  assert.equal(states.filter((state) => state === "alive").length, 3);
  assert.equal(
    cluster.running().every(({ membership: each }) => each.live.length === 3),
    true,
  );
  cluster.stop();
});

test("Membership: a replica that joins counts on all others within a second", async () => {
  const cluster = await ClusterFixture.running(20, { settings: { syncIntervalMs: 1_000_000 } });
  cluster.start("r21");
  const tookMs = await cluster.clock.until(() => cluster.agrees(), 10_000);
  assert.ok(tookMs !== undefined && tookMs < 1000, `${tookMs} ms`);
  cluster.stop();
});

test("Membership: a member that is moved to another address by hearsay counts when it answers there, and not before", async () => {
  const cluster = await ClusterFixture.running(3);
  const membership = cluster.membership("r1");
  const before = cluster.membership("r3").self;
  const moved = { ...before, address: "elsewhere.test:8444", incarnation: before.incarnation + 1 };
  const gossip = { changes: [{ member: moved, reporterId: "r2" }], rumors: [] };
  membership.receivePing(ping(cluster.membership("r2").self, gossip));
  assert.deepEqual(
    membership.live.map(({ replicaId }) => replicaId),
    ["r1", "r2"],
  );
  await cluster.clock.advance(20_000);
  assert.deepEqual(
    membership.live.map(({ replicaId, address }) => `${replicaId} ${address}`),
    ["r1 r1.test:8444", "r2 r2.test:8444", "r3 r3.test:8444"],
  );
  cluster.stop();
});

test("Membership: invented members fill the view up to membersMax, and no further", async () => {
  const cluster = await ClusterFixture.running(1, { settings: { membersMax: 16 } });
  const membership = cluster.membership("r1");
  const changes = Array.from({ length: 40 }, (_, index) => ({
    member: memberOf(`x${index}`),
    reporterId: "r2",
  }));
  membership.receivePing(ping(memberOf("r2"), { changes, rumors: [] }));
  assert.equal(membership.members().length, 16);
  assert.equal(membership.stats.table.rejectedFull, 26);
  cluster.stop();
});

test("Membership: a ping for a replica that had this address before is rejected, so that the old replica is found dead", async () => {
  const cluster = await ClusterFixture.running(3);
  throwsWith("precondition_failed", () => {
    cluster.membership("r1").receivePing(ping(memberOf("r2"), nothing, "the-one-before"));
  });
  assert.equal(cluster.membership("r1").stats.messenger.rejectedTarget, 1);
  cluster.stop();
});

test("Membership: two replicas with one id are detected, and neither crashes", async () => {
  const cluster = await ClusterFixture.running(2);
  const membership = cluster.membership("r1");
  const twin = {
    ...membership.self,
    address: "elsewhere.test:8444",
    incarnation: membership.self.incarnation + 5,
  };
  membership.receivePing(ping(twin));
  membership.receivePing(ping({ ...twin, incarnation: twin.incarnation + 5 }));
  assert.equal(membership.stats.table.idConflicts, 2);
  assert.equal(membership.self.incarnation, twin.incarnation + 6);
  const errors = errorsOf(cluster.replicas.get("r1")?.logger);
  assert.equal(errors.length, 1);
  assert.match(
    errors[0] ?? "",
    /^Two replicas have the id "r1": .* elsewhere\.test:8444\. Give each its own/,
  );
  assert.equal(membership.notice, 'another replica at elsewhere.test:8444 has the id "r1" of this one');
  cluster.stop();
});

test("Membership: an address of an earlier run of this replica is no conflict of ids", async () => {
  const cluster = await ClusterFixture.running(2);
  const membership = cluster.membership("r1");
  const { incarnation } = membership.self;
  const earlier = { ...membership.self, address: "elsewhere.test:8444", incarnation: incarnation + 5 };
  for (let count = 0; count < 3; count += 1) membership.receivePing(ping(earlier));
  assert.equal(membership.stats.table.idConflicts, 1);
  assert.deepEqual(errorsOf(cluster.replicas.get("r1")?.logger), []);
  assert.equal(membership.notice, null);
  cluster.stop();
});

test("Membership: an incarnation far ahead of the clock changes nothing, whoever claims it and of whom", async () => {
  const cluster = await ClusterFixture.running(3);
  const membership = cluster.membership("r1");
  const victim = cluster.membership("r3").self;
  const { live } = membership;
  const day = membership.settings.incarnationAheadMaxMs;
  const states = ["alive", "suspect", "dead", "left"] as const;
  for (const incarnation of [2 ** 53 - 2, cluster.clock.now() + day + 1]) {
    for (const claimed of [membership.self, victim, memberOf("r9")]) {
      const members = states.map((state) => ({ ...claimed, incarnation, state }));
      const changes = members.map((member) => ({ member, reporterId: "r2" }));
      const sender = cluster.membership("r2").self;
      membership.receivePing(ping(sender, { changes, rumors: [] }));
      const { settings } = agreedSettings;
      membership.receiveSync({ sender, members, settings, gossip: nothing });
      membership.learn(members);
    }
    const forged = { ...victim, incarnation, state: "left" as const };
    const error = throwsWith("config_invalid", () => membership.receivePing(ping(forged)));
    assert.match(error.message, /ahead of the clock here/);
  }
  assert.equal(membership.live, live);
  assert.equal(membership.members().length, 3);
  assert.equal(membership.stats.table.rejectedAhead, 2 * 3 * 3 * 4);
  assert.equal(cluster.replicas.get("r1")?.logger.count("warn"), 1);
  await cluster.clock.advance(20_000);
  assert.ok(cluster.agrees());
  cluster.stop();
});

test("Membership: the highest incarnation that counts is refuted", async () => {
  const cluster = await ClusterFixture.running(3);
  const victim = cluster.membership("r3").self;
  const incarnation =
    Math.floor(cluster.clock.now()) + cluster.membership("r1").settings.incarnationAheadMaxMs;
  const member = { ...victim, incarnation, state: "dead" as const };
  const gossip = { changes: [{ member, reporterId: "r2" }], rumors: [] };
  cluster.membership("r1").receivePing(ping(cluster.membership("r2").self, gossip));
  assert.equal(cluster.membership("r1").live.length, 2);
  const tookMs = await cluster.clock.until(() => cluster.agrees(), 20_000);
  assert.ok(tookMs !== undefined && tookMs <= 3000, `${tookMs} ms`);
  assert.equal(cluster.membership("r3").self.incarnation, incarnation + 1);
  cluster.stop();
});

test("Membership: before its start and after its stop every message is rejected", async () => {
  const cluster = await ClusterFixture.running(2);
  const membership = cluster.membership("r1");
  membership.stop();
  throwsWith("shutting_down", () => membership.receivePing(ping(memberOf("r2"))));
  await membership.leave();
  cluster.stop();
  await cluster.clock.advance(10_000);
  assert.equal(cluster.clock.pendingTimers, 0);
});
