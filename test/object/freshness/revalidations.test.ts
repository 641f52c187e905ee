import assert from "node:assert/strict";
import { test } from "node:test";
import { defaultChunkTiers } from "../../../src/chunk/chunk-layout.ts";
import { Directory } from "../../../src/object/directory.ts";
import { refreshMs } from "../../../src/object/freshness/revalidations.ts";
import { settle } from "../../support/fake-clock.ts";
import { rejectsWith } from "../../support/rejects-with.ts";
import {
  location,
  metadataCluster,
  negativeTtlMs,
  originId,
  ttlMs,
  unavailable,
} from "../metadata-cluster.ts";

/** All replicas have looked the object up, as version 1. */
async function warmCluster() {
  const cluster = metadataCluster();
  for (const replica of cluster.replicas) await replica.etag();
  cluster.network.calls.length = 0;
  return cluster;
}

test("Directory.lookupRefreshed: costs at most one question per replica and second, and none to the origin", async () => {
  const { clock, origin, network, second } = await warmCluster();
  assert.equal(second.isRefreshed(), true, "the answer is new");
  for (let seconds = 1; seconds <= 3; seconds += 1) {
    await clock.advance(refreshMs - 1);
    assert.equal(second.isRefreshed(), true);
    await clock.advance(1);
    assert.equal(second.isRefreshed(), false);
    assert.equal(second.knownEtag(), "v1", "a read of the whole object needs no refresh");
    const reads = Array.from({ length: 50 }, () => second.refreshedEtag());
    for (const etag of await Promise.all(reads)) assert.equal(etag, "v1");
    assert.equal(network.calls.length, seconds);
  }
  assert.equal(second.directory.stats.refreshes, 3);
  assert.equal(origin.stats.heads, 1);
});

test("Directory.lookupRefreshed: returns the coordinator's version if its invalidation was lost", async () => {
  const { clock, origin, network, coordinator, second, third } = await warmCluster();
  origin.etag = "v2";
  second.directory.forget(location, "v1");
  await second.etag();
  await clock.advance(refreshMs);
  assert.equal(await third.etag(), "v1");
  network.calls.length = 0;
  assert.equal(await third.refreshedEtag(), "v2");
  assert.equal(third.knownEtag(), "v2");
  assert.equal(await coordinator.refreshedEtag(), "v2");
  assert.deepEqual([origin.stats.heads, network.calls.length], [2, 1]);
});

test("Directory.lookupRefreshed: a refreshed entry is the same record, and expires with the coordinator's", async () => {
  const { clock, origin, second } = await warmCluster();
  const before = second.directory.peek(location);
  await clock.advance(ttlMs - 1);
  await second.refreshedEtag();
  assert.equal(second.directory.peek(location), before);
  await clock.advance(1);
  assert.equal(second.knownEtag(), undefined);
  assert.equal(origin.stats.heads, 1);
});

test("Directory.lookupRefreshed: an unreachable coordinator costs one attempt, and neither an error nor a HEAD", async () => {
  const { clock, origin, network, coordinator, second } = await warmCluster();
  network.hosts.delete(coordinator.id);
  for (let seconds = 0; seconds < 5; seconds += 1) {
    await clock.advance(refreshMs);
    assert.equal(await second.refreshedEtag(), "v1");
    assert.equal(second.isRefreshed(), true, "the next read does not wait");
  }
  assert.deepEqual([network.calls.length, origin.stats.heads], [1, 1]);
  network.hosts.set(coordinator.id, coordinator.server);
  await clock.advance(10_000);
  assert.equal(await second.refreshedEtag(), "v1");
  assert.equal(network.calls.length, 2);
});

test("Directory.lookupRefreshed: a coordinator whose origin fails causes no error", async () => {
  const { clock, origin, coordinator, second } = await warmCluster();
  coordinator.authority.invalidate(location);
  origin.fault = unavailable();
  await clock.advance(refreshMs);
  assert.equal(await second.refreshedEtag(), "v1");
  assert.equal(origin.stats.heads, 2);
});

test("Directory.lookupRefreshed: a coordinator that hangs delays a read by refreshMs, and only once", async () => {
  const { clock, network, second } = await warmCluster();
  const sweeps = clock.pendingTimers;
  await clock.advance(refreshMs);
  const wire = Promise.withResolvers<void>();
  network.carry = () => wire.promise;
  let answered = 0;
  const read = second.refreshedEtag().finally(() => {
    answered += 1;
  });
  await clock.advance(refreshMs - 1);
  assert.equal(answered, 0);
  await clock.advance(1);
  assert.equal(await read, "v1");
  await clock.advance(5000);
  assert.equal(second.isRefreshed(), true, "no read waits for the same answer again");
  assert.equal(network.calls.length, 1);
  wire.resolve();
  await settle();
  assert.equal(second.isRefreshed(), false, "the answer was on its way for too long to refresh the entry");
  assert.equal(clock.pendingTimers, sweeps);
});

test("Directory.lookupRefreshed: an entry that was found stale while a coordinator hung is not returned", async () => {
  const { clock, origin, network, coordinator, second } = await warmCluster();
  await clock.advance(refreshMs);
  const wire = Promise.withResolvers<void>();
  network.carry = () => wire.promise;
  const read = second.refreshedEtag();
  await settle();
  second.directory.forget(location, "v1");
  origin.etag = "v2";
  network.carry = async () => {};
  await clock.advance(refreshMs);
  assert.equal(await read, "v2");
  wire.resolve();
  await settle();
  assert.equal(second.knownEtag(), "v2", "the late answer is not cached");
  assert.equal(await coordinator.refreshedEtag(), "v2");
});

test("Directory.revalidate: a replica with an old version gets the coordinator's, without a HEAD", async () => {
  const { origin, network, coordinator, second, third } = await warmCluster();
  origin.etag = "v2";
  second.directory.forget(location, "v1");
  await second.etag();
  network.calls.length = 0;
  const etags = await Promise.all(Array.from({ length: 50 }, () => third.contradictedEtag()));
  for (const etag of etags) assert.equal(etag, "v2");
  assert.equal(third.knownEtag(), "v2");
  assert.equal(await coordinator.etag(), "v2");
  assert.deepEqual([origin.stats.heads, network.calls.length], [2, 1]);
});

test("Directory.revalidate: if the coordinator has the same version, the origin is asked once, and all replicas learn of the change", async () => {
  const { origin, network, replicas, spreadRumors } = await warmCluster();
  origin.etag = "v2";
  const revalidations = replicas.flatMap((replica) =>
    Array.from({ length: 20 }, () => replica.contradictedEtag()),
  );
  for (const etag of await Promise.all(revalidations)) assert.equal(etag, "v2");
  assert.deepEqual([origin.stats.heads, network.calls.length], [2, 2]);
  assert.equal(spreadRumors(), 1);
  for (const replica of replicas) assert.equal(await replica.etag(), "v2");
  assert.equal(origin.stats.heads, 2);
});

test("Directory.revalidate: a flood of revalidations without a change costs one HEAD per second from all replicas together", async () => {
  const { clock, origin, replicas } = await warmCluster();
  for (let round = 0; round < 40; round += 1) {
    for (const replica of replicas) assert.equal(await replica.contradictedEtag(), "v1");
    await clock.advance(refreshMs / 4);
  }
  assert.equal(origin.stats.heads, 1 + 10);
});

test("Directory.revalidate: a revalidation without a change extends the entry, and drops nothing", async () => {
  const { clock, origin, replicas, second } = await warmCluster();
  const before = second.directory.peek(location);
  await clock.advance(ttlMs - 1);
  assert.equal(await second.contradictedEtag(), "v1");
  assert.equal(second.directory.peek(location), before);
  await clock.advance(ttlMs - 1);
  assert.equal(second.knownEtag(), "v1");
  assert.equal(origin.stats.heads, 2);
  for (const { rumors } of replicas) assert.equal(rumors.length, 0);
});

test("Directory.revalidate: two overwrites within a second are both visible to clients that pin them", async () => {
  const { origin, second, third } = await warmCluster();
  for (const etag of ["v2", "v3"]) {
    origin.etag = etag;
    assert.equal(await second.contradictedEtag(), etag);
  }
  assert.equal(await third.contradictedEtag(), "v3");
  assert.equal(origin.stats.heads, 3);
});

test("Directory.revalidate: an absence can be contradicted like a version", async () => {
  const { clock, origin, network, replicas, spreadRumors, coordinator, second, third } = metadataCluster();
  origin.etag = undefined;
  for (const replica of replicas) assert.equal(await replica.etag(), "no_such_key");
  assert.equal(await second.contradictedEtag(), "no_such_key");
  assert.equal(origin.stats.heads, 2);
  await clock.advance(refreshMs);
  origin.etag = "v1";
  network.calls.length = 0;
  assert.equal(await third.contradictedEtag(), "v1");
  assert.equal(coordinator.knownEtag(), undefined);
  assert.equal(spreadRumors(), 1);
  for (const replica of replicas) assert.equal(await replica.etag(), "v1");
  assert.equal(origin.stats.heads, 3);
  assert.ok(clock.monotonic() < negativeTtlMs);
});

test("Directory.revalidate: if the coordinator is unreachable, the origin is asked in its place", async () => {
  const { origin, network, coordinator, second } = await warmCluster();
  network.hosts.delete(coordinator.id);
  origin.etag = "v2";
  assert.equal(await second.contradictedEtag(), "v2");
  assert.deepEqual([origin.stats.heads, network.calls.length], [2, 1]);
});

test("Directory.revalidate: an origin that fails causes an error, gets one HEAD per second, and no entry is lost", async () => {
  const { clock, origin, second, third } = await warmCluster();
  origin.fault = unavailable();
  for (let count = 0; count < 10; count += 1) {
    await rejectsWith("origin_unavailable", second.contradictedEtag());
    await rejectsWith("origin_unavailable", third.contradictedEtag());
  }
  assert.equal(origin.stats.heads, 2);
  assert.equal(second.knownEtag(), "v1");
  origin.fault = undefined;
  await clock.advance(refreshMs);
  assert.equal(await second.contradictedEtag(), "v1");
  assert.equal(origin.stats.heads, 3);
});

test("Directory.revalidate: with TTL 0 the contradicted answer is the origin's answer to this very request", async () => {
  const { origin, second } = metadataCluster({ ttlMs: 0, negativeTtlMs: 0 });
  assert.equal(await second.contradictedEtag(), "v1");
  assert.equal(origin.stats.heads, 1);
});

test("Directory.revalidate: a refresh and a revalidation in flight at once end with the answer of the revalidation", async () => {
  const { clock, origin, network, second } = await warmCluster();
  await clock.advance(refreshMs);
  const wire = Promise.withResolvers<void>();
  network.carry = (from) => (from === second.id ? Promise.resolve() : wire.promise);
  const refresh = second.refreshedEtag();
  await settle();
  origin.etag = "v2";
  const revalidation = second.contradictedEtag();
  await settle();
  wire.resolve();
  assert.deepEqual(await Promise.all([refresh, revalidation]), ["v2", "v2"]);
  assert.equal(second.knownEtag(), "v2");
});

test("Directory in a cluster of one: an entry counts as refreshed for its whole TTL, and revalidations are paced", async () => {
  const { clock, origin, coordinator } = await warmCluster();
  const alone: Directory = coordinator.authority;
  await clock.advance(ttlMs - 1);
  assert.ok(alone.peekRefreshed(location));
  const known = await alone.lookupRefreshed(location);
  assert.equal(origin.stats.heads, 1);
  for (let count = 0; count < 10; count += 1) assert.equal(await alone.revalidate(location, known), known);
  assert.equal(origin.stats.heads, 2);
  assert.deepEqual([alone.stats.refreshes, alone.stats.revalidations], [0, 1]);
});

test("Directory.lookupRefreshed: an answer that the coordinator dropped in flight is not cached", async () => {
  const heads = [
    { etag: "v1", remainingMs: 5000 },
    { etag: "v2", remainingMs: 0 },
    { etag: "v3", remainingMs: 5000 },
  ];
  const { clock } = metadataCluster();
  const directory = new Directory({
    source: {
      id: originId,
      isOrigin: false,
      head: async () => {
        const { etag = "", remainingMs = 0 } = heads.shift() ?? {};
        return { head: { etag, sizeBytes: 10, lastModifiedMs: 0, metadata: {} }, remainingMs };
      },
    },
    clock,
    chunkTiers: defaultChunkTiers,
    ttlMs,
    negativeTtlMs,
    entriesMax: 10,
  });
  const etag = async (): Promise<string | undefined> => {
    const found = await directory.lookupRefreshed(location);
    return found.kind === "found" ? found.record.version.etag : undefined;
  };
  assert.equal(await etag(), "v1");
  await clock.advance(refreshMs);
  assert.deepEqual([await etag(), directory.size], ["v2", 0]);
  assert.equal(await etag(), "v3");
});
