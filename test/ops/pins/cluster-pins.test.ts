import assert from "node:assert/strict";
import { test } from "node:test";
import { OrcaError } from "../../../src/base/orca-error.ts";
import type { Member } from "../../../src/membership/member.ts";
import type { Bucket } from "../../../src/object/bucket.ts";
import { Buckets } from "../../../src/object/buckets.ts";
import { ClusterPins } from "../../../src/ops/pins/cluster-pins.ts";
import type { PinnedObject } from "../../../src/store/disk/pins/disk-pins.ts";
import type { ReplicaPins } from "../../../src/store/disk/pins/replica-pins.ts";
import { FakeClock } from "../../support/fake-clock.ts";
import { memberOf } from "../../support/member-of.ts";

const models = {
  directory: { originId: "o" },
  locate: (key: string) => ({ bucket: "real", key: `p/${key}` }),
} as unknown as Bucket;
const buckets = new Buckets(new Map([["models", models]]));

function pinned(objectKey: string, bytes: number, untilMs: number): PinnedObject {
  return { originId: "o", bucket: "real", objectKey, chunks: 1, bytes, untilMs };
}

function pinsOf(objects: readonly PinnedObject[], objectsLeftOff = 0): ReplicaPins {
  const bytes = objects.reduce((total, object) => total + object.bytes, 0);
  return { chunks: objects.length, chunksMax: 10, bytes, bytesMax: 1000, objects, objectsLeftOff };
}

function clusterOf(
  answers: Readonly<Record<string, ReplicaPins | OrcaError>>,
  own: ReplicaPins,
  members: readonly Member[] = Object.keys(answers).map((id) => memberOf(id)),
) {
  const asked: [string, number][] = [];
  const clock = new FakeClock();
  const pins = new ClusterPins({
    replicaId: "r2",
    pins: (objectsMax) => {
      asked.push(["r2", objectsMax]);
      return own;
    },
    buckets,
    cluster: {
      membership: { members: () => [memberOf("r2"), ...members] },
      peers: {
        pins: async ({ replicaId }, objectsMax) => {
          asked.push([replicaId, objectsMax]);
          const answer = answers[replicaId];
          if (answer instanceof OrcaError) throw answer;
          return answer ?? pinsOf([]);
        },
      },
    },
    clock,
  });
  return { asked, clock, pins };
}

test("ClusterPins.read: sums what all replicas pin, and names the one that does not answer", async () => {
  const late = new OrcaError("peer_unavailable", "mesh", "no answer within 3000 ms");
  const { pins, asked } = clusterOf(
    {
      r1: pinsOf([pinned("p/a", 30, 2000), pinned("p/b", 1, 9000)]),
      r3: late,
      r4: pinsOf([], 5),
    },
    pinsOf([pinned("p/a", 20, 1000), pinned("other", 60, 5000)]),
  );
  assert.deepEqual(await pins.read(), {
    replica_id: "r2",
    chunks: 4,
    max_chunks: 30,
    bytes: 111,
    max_bytes: 3000,
    replicas: [
      { replica_id: "r1", chunks: 2, max_chunks: 10, bytes: 31, max_bytes: 1000, objects_left_off: 0 },
      { replica_id: "r2", chunks: 2, max_chunks: 10, bytes: 80, max_bytes: 1000, objects_left_off: 0 },
      { replica_id: "r4", chunks: 0, max_chunks: 10, bytes: 0, max_bytes: 1000, objects_left_off: 5 },
    ],
    unreachable: [{ replica_id: "r3", reason: "no answer within 3000 ms" }],
    objects: [
      {
        url: "s3://real/other",
        chunks: 1,
        bytes: 60,
        until: "1970-01-01T00:00:05.000Z",
        replicas: [{ replica_id: "r2", chunks: 1, bytes: 60 }],
      },
      {
        url: "s3://models/a",
        chunks: 2,
        bytes: 50,
        until: "1970-01-01T00:00:01.000Z",
        replicas: [
          { replica_id: "r1", chunks: 1, bytes: 30 },
          { replica_id: "r2", chunks: 1, bytes: 20 },
        ],
      },
      {
        url: "s3://models/b",
        chunks: 1,
        bytes: 1,
        until: "1970-01-01T00:00:09.000Z",
        replicas: [{ replica_id: "r1", chunks: 1, bytes: 1 }],
      },
    ],
    objects_left_off: 0,
  });
  assert.deepEqual(asked, [
    ["r1", 1000],
    ["r3", 1000],
    ["r4", 1000],
    ["r2", 1000],
  ]);
});

test("ClusterPins.read: many people who look are one round of questions a second", async () => {
  const { pins, asked, clock } = clusterOf({ r1: pinsOf([]) }, pinsOf([]));
  await Promise.all([pins.read(), pins.read(), pins.read()]);
  await pins.read();
  assert.equal(asked.length, 2);
  await clock.advance(1000);
  await pins.read();
  assert.equal(asked.length, 4);
});

test("ClusterPins.read: the more replicas, the fewer objects each may name, and 1,000 are shown", async () => {
  const many = Array.from({ length: 1500 }, (_, index) => pinned(`p/${index}`, 2000 - index, 1));
  const members = Array.from({ length: 99 }, (_, index) => memberOf(`x${index}`));
  const { pins, asked } = clusterOf({}, pinsOf(many), [...members, memberOf("dead", { state: "dead" })]);
  const document = await pins.read();
  assert.deepEqual([document.objects.length, document.objects_left_off], [1000, 500]);
  assert.equal(document.objects[999]?.url, "s3://models/999");
  assert.equal(asked.length, 100, "a dead member is not asked");
  assert.ok(asked.every(([, objectsMax]) => objectsMax === 160));
});

test("ClusterPins.read: long keys are left off, so that the answer stays small", async () => {
  const long = Array.from({ length: 1000 }, (_, index) => pinned(`p/${index}${"\u0001".repeat(1000)}`, 1, 1));
  const { pins } = clusterOf({}, pinsOf(long), []);
  const document = await pins.read();
  assert.equal(document.objects.length + document.objects_left_off, 1000);
  assert.ok(document.objects_left_off > 800);
  assert.ok(JSON.stringify(document).length < 1.2 * 1024 * 1024);
});
