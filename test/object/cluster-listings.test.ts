import assert from "node:assert/strict";
import { test } from "node:test";
import { listingPlacementName } from "../../src/placement/placement-name.ts";
import { rejectsWith } from "../support/rejects-with.ts";
import { listRequest, listTtlMs, metadataCluster, originId, unavailable } from "./metadata-cluster.ts";

function fixture(options: { listTtlMs?: number } = {}) {
  const cluster = metadataCluster(options);
  const [coordinator, second, third] = cluster.ranked(listingPlacementName(originId, listRequest));
  return { ...cluster, coordinator, second, third };
}

test("ClusterListings: one LIST serves three replicas, however many callers ask at once and afterwards", async () => {
  const { origin, network, replicas, second } = fixture();
  const pages = replicas.flatMap(({ listings }) =>
    Array.from({ length: 20 }, () => listings.list(listRequest)),
  );
  for (const page of await Promise.all(pages)) assert.equal(page.objects[0]?.key, "llama/weights.bin");
  for (const replica of replicas) await replica.listings.list(listRequest);
  assert.deepEqual([origin.stats.lists, network.calls.length], [1, 2]);
  assert.deepEqual(second.clusterListings.stats, { peer: 1, self: 0, fallback: 0 });
});

test("ClusterListings: a page expires on all replicas one TTL after the LIST, whenever they asked", async () => {
  const { clock, origin, replicas, third } = fixture();
  const etags = async () =>
    Promise.all(replicas.map(async ({ listings }) => (await listings.list(listRequest)).objects[0]?.etag));
  await third.listings.list(listRequest);
  origin.etag = "v2";
  await clock.advance(listTtlMs - 1);
  assert.deepEqual(await etags(), ["v1", "v1", "v1"]);
  await clock.advance(1);
  assert.deepEqual(await etags(), ["v2", "v2", "v2"]);
  assert.equal(origin.stats.lists, 2);
});

test("ClusterListings: all pages of a prefix have one coordinator, whatever the other fields are", () => {
  const name = listingPlacementName(originId, listRequest);
  const other = { ...listRequest, delimiter: "/", maxKeys: 1, continuationToken: "t", startAfter: "llama/a" };
  assert.equal(listingPlacementName(originId, other), name);
  assert.notEqual(listingPlacementName(originId, { ...listRequest, prefix: "llama" }), name);
});

test("ClusterListings: if the coordinator is unreachable, the origin is asked", async () => {
  const { origin, network, coordinator, second } = fixture();
  network.hosts.delete(coordinator.id);
  assert.equal((await second.listings.list(listRequest)).objects.length, 1);
  assert.deepEqual([origin.stats.lists, network.calls.length], [1, 1]);
  assert.deepEqual(second.view.probed, [coordinator.id]);
});

test("ClusterListings: two replicas that take each other for the coordinator cost one hop and one LIST each", async () => {
  const { origin, network, coordinator, second } = fixture();
  coordinator.view.live = [second.view.self];
  second.view.live = [coordinator.view.self];
  await Promise.all([coordinator, second].map(({ listings }) => listings.list(listRequest)));
  assert.deepEqual([origin.stats.lists, network.calls.length], [2, 2]);
});

test("ClusterListings: an error of the origin at the coordinator is final, and never cached", async () => {
  const { origin, second } = fixture();
  origin.fault = unavailable();
  await rejectsWith("origin_unavailable", second.listings.list(listRequest));
  assert.equal(origin.stats.lists, 1);
  origin.fault = undefined;
  assert.equal((await second.listings.list(listRequest)).objects.length, 1);
});

test("ClusterListings: with TTL 0 every request asks the origin", async () => {
  const { origin, replicas } = fixture({ listTtlMs: 0 });
  await Promise.all([...replicas, ...replicas].map(({ listings }) => listings.list(listRequest)));
  assert.equal(origin.stats.lists, 6);
});
