import assert from "node:assert/strict";
import { test } from "node:test";
import { NotCoordinator } from "../../src/membership/not-coordinator.ts";
import { spreadMs, spreadTtlMs } from "../../src/object/freshness/stale-markers.ts";
import { listingPlacementName } from "../../src/placement/placement-name.ts";
import { rejectsWith } from "../support/rejects-with.ts";
import { throwsWith } from "../support/throws-with.ts";
import { listRequest, listTtlMs, location, metadataCluster, originId, ttlMs } from "./metadata-cluster.ts";

test("ObjectServer.head: answers as the coordinator, with the remaining TTL", async () => {
  const { clock, origin, coordinator } = metadataCluster();
  const request = { originId, location, staleEtag: "", contradictedEtag: undefined };
  const first = await coordinator.server.head(request);
  assert.deepEqual(first, {
    head: { etag: "v1", sizeBytes: 10, lastModifiedMs: 0, metadata: {} },
    remainingMs: ttlMs,
  });
  await clock.advance(1000);
  assert.equal((await coordinator.server.head(request)).remainingMs, ttlMs - 1000);
  // The cached version is not version 0, so it is the answer.
  assert.equal(
    (await coordinator.server.head({ ...request, staleEtag: "v0", contradictedEtag: undefined })).remainingMs,
    ttlMs - 1000,
  );
  assert.equal(origin.stats.heads, 1);
});

test("ObjectServer: a replica that is not the coordinator names it, and asks neither the origin nor another replica", async () => {
  const { origin, network, members, coordinator, second, ranked } = metadataCluster();
  const head = second.server.head({ originId, location, staleEtag: "", contradictedEtag: undefined });
  const rejection = await rejectsWith("not_coordinator", head);
  assert.ok(rejection instanceof NotCoordinator);
  assert.equal(rejection.coordinator, coordinator.view.self);
  assert.deepEqual(rejection.members, members);
  const [, other] = ranked(listingPlacementName(originId, listRequest));
  await rejectsWith("not_coordinator", other.server.list({ originId, request: listRequest }));
  assert.deepEqual([origin.stats, network.calls.length], [{ heads: 0, lists: 0, parts: 0 }, 0]);
});

test("ObjectServer: a request for an unknown origin is rejected, and its invalidations are ignored", async () => {
  const { coordinator } = metadataCluster();
  const { server } = coordinator;
  await rejectsWith(
    "invalid_argument",
    server.head({ originId: "other", location, staleEtag: "", contradictedEtag: undefined }),
  );
  await rejectsWith("invalid_argument", server.list({ originId: "other", request: listRequest }));
  throwsWith("invalid_argument", () => server.invalidate({ originId: "other", location }));
  server.heardInvalidation({ originId: "other", bucket: "b", objectKey: "k", staleEtag: "" });
  assert.equal(coordinator.rumors.length, 0);
});

test("ObjectServer.list: answers as the coordinator, with the remaining TTL", async () => {
  const { clock, origin, ranked } = metadataCluster();
  const [{ server }] = ranked(listingPlacementName(originId, listRequest));
  assert.equal((await server.list({ originId, request: listRequest })).remainingMs, listTtlMs);
  await clock.advance(1000);
  assert.equal((await server.list({ originId, request: listRequest })).remainingMs, listTtlMs - 1000);
  assert.equal(origin.stats.lists, 1);
});

test("ObjectServer.invalidate: every replica forgets, the next look-ups cost one HEAD, and listings stay", async () => {
  const { origin, replicas, spreadRumors, third } = metadataCluster();
  for (const replica of replicas) {
    await replica.etag();
    await replica.listings.list(listRequest);
  }
  origin.etag = "v2";
  const id = third.server.invalidate({ originId, location });
  assert.equal(third.knownEtag(), undefined);
  const [rumor] = third.rumors;
  assert.deepEqual(rumor?.body, {
    originId,
    bucket: location.bucket,
    objectKey: location.key,
    staleEtag: "",
  });
  assert.equal(rumor?.id, id);
  assert.match(id, /^r\d-[0-9a-f]{16}$/);
  assert.equal(rumor?.sizeBytes, 32 + `${id}${originId}modelsllama/weights.bin`.length);
  assert.notEqual(third.server.invalidate({ originId, location }), id);
  assert.equal(spreadRumors(), 2);
  for (const replica of replicas) {
    assert.equal(replica.knownEtag(), undefined);
    assert.equal(replica.server.stats.invalidationsHeard, replica === third ? 0 : 2);
  }
  for (const replica of replicas) assert.equal(await replica.etag(), "v2");
  for (const replica of replicas) await replica.listings.list(listRequest);
  assert.deepEqual(origin.stats, { heads: 2, lists: 1, parts: 0 });
  // An invalidation that was received is not published again.
  assert.equal(spreadRumors(), 0);
});

test("ObjectServer.invalidate: the coordinator forgets in both of its directories", async () => {
  const { origin, coordinator } = metadataCluster();
  await coordinator.etag();
  origin.etag = "v2";
  coordinator.server.invalidate({ originId, location });
  assert.equal(await coordinator.etag(), "v2");
});

test("ObjectServer.invalidate: an answer of a coordinator that has not received it yet is cached briefly", async () => {
  const { clock, origin, replicas, coordinator, second, spreadRumors } = metadataCluster();
  for (const replica of replicas) await replica.etag();
  origin.etag = "v2";
  second.server.invalidate({ originId, location });
  assert.equal(await second.etag(), "v1");
  spreadRumors();
  assert.equal(await coordinator.etag(), "v2");
  await clock.advance(spreadTtlMs - 1);
  assert.equal(second.knownEtag(), "v1");
  await clock.advance(1);
  assert.equal(await second.etag(), "v2");
  await clock.advance(spreadMs);
  assert.equal(await second.etag(), "v2");
  await clock.advance(spreadMs);
  assert.equal(second.knownEtag(), "v2");
  assert.equal(origin.stats.heads, 2);
});

test("ObjectServer.heardInvalidation: an answer that was on its way goes to the callers that wait, and is not cached", async () => {
  const { origin, network, coordinator, second, third } = metadataCluster();
  const wire = Promise.withResolvers<void>();
  network.carry = (from) => (from === coordinator.id ? wire.promise : Promise.resolve());
  const before = second.etag();
  await coordinator.etag();
  origin.etag = "v2";
  third.server.invalidate({ originId, location });
  for (const rumor of third.rumors) {
    assert.ok(rumor.kind === "invalidation");
    coordinator.server.heardInvalidation(rumor.body);
    second.server.heardInvalidation(rumor.body);
  }
  wire.resolve();
  assert.equal(await before, "v1");
  assert.equal(second.knownEtag(), undefined);
  assert.equal(await second.etag(), "v2");
});

test("ObjectServer: an invalidation of a version leaves the current object, and the other way round", async () => {
  const { coordinator, second } = metadataCluster();
  const version = { ...location, versionId: "first" };
  const { directory, server } = second;
  for (const each of [location, version]) await directory.lookup(each);
  coordinator.server.invalidate({ originId, location: version });
  const [rumor] = coordinator.rumors;
  assert.ok(rumor?.kind === "invalidation");
  server.heardInvalidation(rumor.body);
  assert.deepEqual([directory.peek(location)?.kind, directory.peek(version)], ["found", undefined]);
  await directory.lookup(version);
  server.heardInvalidation({ originId, bucket: location.bucket, objectKey: location.key, staleEtag: "v1" });
  assert.deepEqual([directory.peek(location), directory.peek(version)?.kind], [undefined, "found"]);
});
