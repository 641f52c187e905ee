import assert from "node:assert/strict";
import { test } from "node:test";
import type { ReplicaFigures } from "../../../src/figures/replica-figures.ts";
import { ClusterFigures } from "../../../src/ops/figures/cluster-figures.ts";
import { FakeClock } from "../../support/fake-clock.ts";
import { memberOf } from "../../support/member-of.ts";
import { figuresOf } from "./figures-of.ts";

function clusterOf(answers: Readonly<Record<string, ReplicaFigures | Error>>) {
  const clock = new FakeClock();
  const asked: [string, number][] = [];
  const members = [
    memberOf("r2"),
    memberOf("r1"),
    memberOf("r3", { state: "suspect" }),
    memberOf("r4", { state: "dead" }),
  ];
  const figures = new ClusterFigures(
    {
      read: () => figuresOf("r1", { served_bytes: 1 }),
    },
    { replicaId: "r1", zone: "" },
    {
      membership: { members: () => [...members] },
      figurePeers: {
        figures: async ({ replicaId }, count) => {
          asked.push([replicaId, count]);
          const answer = answers[replicaId];
          if (answer instanceof Error || answer === undefined) throw answer ?? new Error("unknown");
          return answer;
        },
      },
    },
    clock,
  );
  return { clock, figures, asked };
}

test("ClusterFigures: asks every live member once, and names those that do not answer", async () => {
  const { figures, asked } = clusterOf({
    r2: figuresOf("r2", { served_bytes: 10 }),
    r3: new Error("it hangs"),
  });
  const document = await figures.read();
  assert.deepEqual(asked, [
    ["r2", 720],
    ["r3", 720],
  ]);
  assert.deepEqual(
    document.replicas.map(({ replica_id }) => replica_id),
    ["r1", "r2"],
  );
  assert.equal(document.totals.served_bytes, 11);
  assert.deepEqual(
    document.unreachable.map(({ replica_id, reason }) => [replica_id, reason.endsWith("it hangs")]),
    [["r3", true]],
  );
  assert.deepEqual(
    document.members.map(({ replica_id, state, share, self }) => [replica_id, state, share, self]),
    [
      ["r1", "alive", 1 / 3, true],
      ["r2", "alive", 1 / 3, false],
      ["r3", "suspect", 1 / 3, false],
      ["r4", "dead", 0, false],
    ],
  );
});

test("ClusterFigures: an answer in the name of another replica counts for nobody", async () => {
  const { figures } = clusterOf({ r2: figuresOf("r1", { served_bytes: 10 }), r3: figuresOf("r3") });
  const { totals, unreachable } = await figures.read();
  assert.equal(totals.served_bytes, 1);
  assert.deepEqual(unreachable, [
    { replica_id: "r2", reason: 'Cannot ask "r2" for its figures: it answers as "r1"' },
  ]);
});

test("ClusterFigures: who asks at the same time or within a second gets one answer", async () => {
  const { clock, figures, asked } = clusterOf({ r2: figuresOf("r2"), r3: figuresOf("r3") });
  const [first, second] = await Promise.all([figures.read(), figures.read()]);
  assert.equal(first, second);
  await clock.advance(999);
  assert.equal(await figures.read(), first);
  assert.equal(asked.length, 2);
  await clock.advance(1);
  assert.notEqual(await figures.read(), first);
  assert.equal(asked.length, 4);
});

test("ClusterFigures: a cluster of one is its only member", async () => {
  const clock = new FakeClock();
  const self = { replicaId: "r1", zone: "z" };
  const document = await new ClusterFigures({ read: () => figuresOf("r1") }, self, undefined, clock).read();
  assert.deepEqual(document.members, [
    { replica_id: "r1", address: "", zone: "z", state: "alive", self: true, share: 1 },
  ]);
  assert.deepEqual(document.unreachable, []);
});
