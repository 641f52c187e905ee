import assert from "node:assert/strict";
import { afterEach, test } from "node:test";
import { KiB } from "../../src/base/units.ts";
import { assertPattern } from "../support/pattern.ts";
import { type ReplicaCluster, startReplicas } from "../support/replica-cluster.ts";
import { type ReplicaFixture, testBucket } from "../support/replica-fixture.ts";
import { until } from "../support/until.ts";

let cluster: ReplicaCluster | undefined;

afterEach(async () => {
  await cluster?.stop();
  cluster = undefined;
});

const objects = 30;
const sizeBytes = 64 * KiB;

test("an origin that answers 503 SlowDown gets fewer requests from all replicas, and clients get every object", async () => {
  cluster = await startReplicas({ settings: { origin: { target_global: 30 } } });
  const { origin, replicas } = cluster;
  const metric = async (name: string): Promise<number[]> =>
    Promise.all(replicas.map(async ({ metric: read }) => read(name)));
  for (let index = 0; index < objects; index += 1)
    origin.put(testBucket, `k${index}`, { seed: index, sizeBytes });
  for (let index = 0; index < objects; index += 3) origin.faults.next("GET", `k${index}`, { status: 503 });
  const bodies = await Promise.all(
    Array.from({ length: objects }, async (_, index) => {
      const response = await (replicas[index % 3] as ReplicaFixture).get(`k${index}`);
      assert.equal(response.status, 200);
      return Buffer.from(await response.arrayBuffer());
    }),
  );
  for (const [seed, body] of bodies.entries()) assertPattern(body, seed, 0);
  assert.equal(origin.requests.filter(({ operation }) => operation === "GET").length, objects + objects / 3);
  await until(async () => (await metric('orca_origin_limit_part{origin="test"}')).every((part) => part < 1));
  for (const limit of await metric(`orca_origin_requests_max{origin="test"}`)) assert.ok(limit < 10);
});
