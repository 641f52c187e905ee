import assert from "node:assert/strict";
import { test } from "node:test";
import { listPlacementName } from "../../src/object/placement-name.ts";
import { rejectsWith } from "../support/rejects-with.ts";
import { listRequest, listTtlMs, metadataCluster, originId, unavailable } from "./metadata-cluster.ts";

function fixture(options: { listTtlMs?: number } = {}) {
  const cluster = metadataCluster(options);
  const [coordinator, second, third] = cluster.ranked(listPlacementName(originId, listRequest));
  return { ...cluster, coordinator, second, third };
}

test("ClusterLists: one LIST for three replicas, however many ask at once and afterwards", async () => {
  const { origin, network, replicas, second } = fixture();
  const pages = replicas.flatMap(({ lists }) => Array.from({ length: 20 }, () => lists.list(listRequest)));
  for (const page of await Promise.all(pages)) assert.equal(page.objects[0]?.key, "llama/weights.bin");
  for (const replica of replicas) await replica.lists.list(listRequest);
  assert.deepEqual([origin.stats.lists, network.calls.length], [1, 2]);
  assert.deepEqual(second.clusterLists.stats, { peer: 1, self: 0, inPlace: 0 });
});

test("ClusterLists: a page ends everywhere one TTL after the LIST, whenever a replica has asked", async () => {
  const { clock, origin, replicas, third } = fixture();
  const etags = async () =>
    Promise.all(replicas.map(async ({ lists }) => (await lists.list(listRequest)).objects[0]?.etag));
  await third.lists.list(listRequest);
  origin.etag = "v2";
  await clock.advance(listTtlMs - 1);
  assert.deepEqual(await etags(), ["v1", "v1", "v1"]);
  await clock.advance(1);
  assert.deepEqual(await etags(), ["v2", "v2", "v2"]);
  assert.equal(origin.stats.lists, 2);
});

test("ClusterLists: all pages of a prefix have one coordinator, whatever else is asked for", () => {
  const name = listPlacementName(originId, listRequest);
  const other = { ...listRequest, delimiter: "/", maxKeys: 1, continuationToken: "t", startAfter: "llama/a" };
  assert.equal(listPlacementName(originId, other), name);
  assert.notEqual(listPlacementName(originId, { ...listRequest, prefix: "llama" }), name);
});

test("ClusterLists: where the coordinator is gone the origin is asked", async () => {
  const { origin, network, coordinator, second } = fixture();
  network.hosts.delete(coordinator.id);
  assert.equal((await second.lists.list(listRequest)).objects.length, 1);
  assert.deepEqual([origin.stats.lists, network.calls.length], [1, 1]);
  assert.deepEqual(second.view.doubted, [coordinator.id]);
});

test("ClusterLists: two replicas that take each other for the coordinator make one hop and a LIST each", async () => {
  const { origin, network, coordinator, second } = fixture();
  coordinator.view.live = [second.view.self];
  second.view.live = [coordinator.view.self];
  await Promise.all([coordinator, second].map(({ lists }) => lists.list(listRequest)));
  assert.deepEqual([origin.stats.lists, network.calls.length], [2, 2]);
});

test("ClusterLists: what the origin said to the coordinator is final, and never kept", async () => {
  const { origin, second } = fixture();
  origin.fault = unavailable();
  await rejectsWith("origin_unavailable", second.lists.list(listRequest));
  assert.equal(origin.stats.lists, 1);
  origin.fault = undefined;
  assert.equal((await second.lists.list(listRequest)).objects.length, 1);
});

test("ClusterLists: with ttl 0 the origin is asked for every request", async () => {
  const { origin, replicas } = fixture({ listTtlMs: 0 });
  await Promise.all([...replicas, ...replicas].map(({ lists }) => lists.list(listRequest)));
  assert.equal(origin.stats.lists, 6);
});
