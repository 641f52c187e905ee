import assert from "node:assert/strict";
import { test } from "node:test";
import { Coordination, type MembershipView } from "../../src/membership/coordination.ts";
import type { Member } from "../../src/membership/member.ts";
import { FakeClock } from "../support/fake-clock.ts";
import { memberOf } from "../support/member-of.ts";

const members = ["a", "b", "c"].map((id) => memberOf(id));
const self = members[0] as Member;

function coordinationOf(live: readonly Member[] = members) {
  const clock = new FakeClock();
  const probed: string[] = [];
  const learnt: (readonly Member[])[] = [];
  const membership: { live: readonly Member[] } & Omit<MembershipView, "live"> = {
    self,
    live,
    members: (): Member[] => [...membership.live],
    learn: (view: readonly Member[]) => void learnt.push(view),
    probeNext: (replicaId: string) => void probed.push(replicaId),
  };
  return {
    clock,
    probed,
    learnt,
    membership,
    coordination: new Coordination({ membership, clock, avoidInitialMs: 1000, avoidMaxMs: 3000 }),
  };
}

/** A name that `replicaId` coordinates. */
function nameOf(coordination: Coordination, replicaId: string): string {
  const names = Array.from({ length: 100 }, (_, index) => `name-${index}`);
  return names.find((name) => coordination.coordinator(name).replicaId === replicaId) as string;
}

test("Coordination.coordinator: is the same for all replicas with the same view, and another one if it is skipped", () => {
  const { coordination } = coordinationOf();
  const { coordination: other } = coordinationOf(members.toReversed());
  for (let index = 0; index < 50; index += 1) {
    const first = coordination.coordinator(`k${index}`);
    assert.equal(other.coordinator(`k${index}`), first);
    const second = coordination.coordinator(`k${index}`, [first.replicaId]);
    assert.notEqual(second, first);
    const { coordination: without } = coordinationOf(members.filter((member) => member !== first));
    assert.equal(without.coordinator(`k${index}`), second, "the owner without the first");
  }
});

test("Coordination.coordinator: is this replica if no other is left", () => {
  const { coordination } = coordinationOf();
  assert.equal(coordination.coordinator("k", ["a", "b", "c"]), self);
  const { coordination: alone } = coordinationOf([]);
  assert.equal(alone.coordinator("k"), self);
  assert.ok(alone.isMine("k"));
});

test("Coordination.next: a member that failed is skipped until it answers", () => {
  const { coordination, probed } = coordinationOf();
  const name = nameOf(coordination, "b");
  coordination.failed("b");
  assert.deepEqual(probed, ["b"]);
  const skipped: string[] = [];
  assert.notEqual(coordination.next(name, skipped).replicaId, "b");
  assert.deepEqual(skipped, ["b"]);
  assert.equal(coordination.coordinator(name).replicaId, "b", "the view alone does not show the failure");
  coordination.answered("b");
  assert.equal(coordination.next(name, []).replicaId, "b");
});

test("Coordination.next: after its time one caller tries it, and each failure in a row doubles the time", async () => {
  const { coordination, clock } = coordinationOf();
  const name = nameOf(coordination, "b");
  const asked = (): boolean => coordination.next(name, []).replicaId === "b";
  coordination.failed("b");
  await clock.advance(999);
  assert.equal(asked(), false);
  await clock.advance(1);
  assert.deepEqual([asked(), asked()], [true, false]);
  coordination.failed("b");
  await clock.advance(1999);
  assert.equal(asked(), false);
  await clock.advance(1);
  assert.deepEqual([asked(), asked()], [true, false]);
  coordination.failed("b");
  await clock.advance(2999);
  assert.equal(asked(), false);
  await clock.advance(1);
  assert.equal(asked(), true, "never longer than avoidMaxMs");
  assert.equal(coordination.stats.failures, 3);
});

test("Coordination: a member that left the view is not remembered as failed", () => {
  const { coordination, membership } = coordinationOf();
  const name = nameOf(coordination, "b");
  coordination.failed("b");
  membership.live = members.filter(({ replicaId }) => replicaId !== "b");
  assert.notEqual(coordination.next(name, []).replicaId, "b");
  membership.live = members;
  assert.equal(coordination.next(name, []).replicaId, "b");
});

test("Coordination.learn: a view that disagrees goes to the membership and is counted", () => {
  const { coordination, learnt } = coordinationOf();
  coordination.learn(members);
  assert.deepEqual(learnt, [members]);
  assert.equal(coordination.stats.disagreements, 1);
});

test("Coordination.ranked: the order in which members are skipped, with this replica", () => {
  const { coordination } = coordinationOf();
  for (let index = 0; index < 50; index += 1) {
    const skipped: string[] = [];
    for (const member of coordination.ranked(`k${index}`)) {
      assert.equal(coordination.coordinator(`k${index}`, skipped), member);
      skipped.push(member.replicaId);
    }
    assert.equal(skipped.length, 3);
    assert.deepEqual(
      coordination.ranked(`k${index}`, 2).map(({ replicaId }) => replicaId),
      skipped.slice(0, 2),
    );
  }
});

test("Coordination.mayAsk: false while a member is avoided, then one caller tries it", async () => {
  const { clock, coordination } = coordinationOf();
  assert.ok(coordination.mayAsk("b"));
  coordination.failed("b");
  assert.equal(coordination.mayAsk("b"), false);
  await clock.advance(1000);
  assert.deepEqual([coordination.mayAsk("b"), coordination.mayAsk("b")], [true, false]);
  coordination.answered("b");
  assert.ok(coordination.mayAsk("b"));
  assert.equal(coordination.stats.avoided, 2);
});
