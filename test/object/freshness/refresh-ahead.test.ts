import assert from "node:assert/strict";
import { test } from "node:test";
import { aheadMax } from "../../../src/object/freshness/refresh-ahead.ts";
import { settle } from "../../support/fake-clock.ts";
import { location, metadataCluster, ttlMs, unavailable } from "../metadata-cluster.ts";

const windowMs = ttlMs / 5;

const at = (index: number) => ({ ...location, key: `k${index}` });

/** All replicas have looked the object up, as version 1. */
async function warmCluster() {
  const cluster = metadataCluster({ refreshAhead: 0.2 });
  for (const replica of cluster.replicas) await replica.etag();
  cluster.network.calls.length = 0;
  return cluster;
}

test("Directory: with refresh_ahead, a hot object costs the cluster one HEAD per TTL, and no reader waits", async () => {
  const { clock, origin, network, replicas } = await warmCluster();
  const periodMs = ttlMs - windowMs;
  for (let period = 1; period <= 5; period += 1) {
    await clock.advance(periodMs - 1);
    for (const replica of replicas) assert.equal(replica.knownEtag(), "v1");
    await settle();
    assert.equal(origin.stats.heads, period, "nothing is asked before the last part of the TTL");
    await clock.advance(1);
    for (let reads = 0; reads < 100; reads += 1) {
      for (const replica of replicas) assert.equal(replica.knownEtag(), "v1");
      await settle();
    }
    assert.equal(origin.stats.heads, period + 1);
    assert.equal(network.calls.length, 2 * period, "the two other replicas ask the coordinator once each");
  }
});

test("Directory: with refresh_ahead, replicas whose readers come at other times ask for one HEAD", async () => {
  const { clock, origin, coordinator, second, third } = await warmCluster();
  await clock.advance(ttlMs - windowMs);
  assert.equal(second.knownEtag(), "v1");
  await settle();
  assert.equal(origin.stats.heads, 2);
  await clock.advance(windowMs - 1);
  assert.equal(third.knownEtag(), "v1");
  assert.equal(coordinator.knownEtag(), "v1");
  await settle();
  assert.equal(origin.stats.heads, 2);
  await clock.advance(1);
  for (const replica of [coordinator, second, third]) assert.equal(replica.knownEtag(), "v1");
  assert.deepEqual(third.directory.freshness.ahead, { answered: 1, failed: 0 });
});

test("Directory: with refresh_ahead, an entry that nobody uses expires", async () => {
  const { clock, origin, second } = await warmCluster();
  await clock.advance(ttlMs - windowMs - 1);
  assert.equal(second.knownEtag(), "v1");
  await clock.advance(windowMs + 1);
  assert.equal(second.knownEtag(), undefined);
  assert.equal(origin.stats.heads, 1);
});

test("Directory: with refresh_ahead, an overwrite is seen by all replicas after the question", async () => {
  const { clock, origin, spreadRumors, coordinator, second, third } = await warmCluster();
  await clock.advance(ttlMs - windowMs);
  origin.etag = "v2";
  assert.equal(second.knownEtag(), "v1");
  await settle();
  assert.deepEqual([second.knownEtag(), coordinator.authority.size], ["v2", 1]);
  assert.equal(spreadRumors(), 1);
  assert.deepEqual([await coordinator.etag(), await third.etag()], ["v2", "v2"]);
  assert.equal(origin.stats.heads, 2);
});

test("Directory: with refresh_ahead, a failed question is not repeated, and the entry expires when it would have", async () => {
  const { clock, origin, coordinator, second, third } = await warmCluster();
  origin.fault = unavailable();
  await clock.advance(ttlMs - windowMs);
  for (let reads = 0; reads < 10; reads += 1) {
    for (const replica of [second, third, coordinator]) assert.equal(replica.knownEtag(), "v1");
    await settle();
  }
  assert.equal(origin.stats.heads, 2);
  assert.equal(coordinator.authority.freshness.ahead.failed, 1);
  await clock.advance(windowMs - 1);
  assert.equal(second.knownEtag(), "v1");
  await clock.advance(1);
  assert.equal(second.knownEtag(), undefined);
});

test("Directory: with refresh_ahead and an unreachable coordinator, no replica asks the origin in its place", async () => {
  const { clock, origin, network, coordinator, second } = await warmCluster();
  network.hosts.delete(coordinator.id);
  await clock.advance(ttlMs - windowMs);
  for (let reads = 0; reads < 10; reads += 1) {
    assert.equal(second.knownEtag(), "v1");
    await settle();
  }
  assert.deepEqual([origin.stats.heads, network.calls.length], [1, 1]);
});

test("Directory: with refresh_ahead, absences are not asked about ahead", async () => {
  const cluster = metadataCluster({ refreshAhead: 0.5 });
  cluster.origin.etag = undefined;
  assert.equal(await cluster.coordinator.etag(), "no_such_key");
  await cluster.clock.advance(59_999);
  assert.equal(cluster.coordinator.knownEtag(), "no_such_key");
  await settle();
  assert.equal(cluster.origin.stats.heads, 1);
});

test("Directory: with refresh_ahead, the questions in flight are bounded", async () => {
  const { clock, origin, coordinator } = metadataCluster({ refreshAhead: 0.2, entriesMax: 1000 });
  const { authority } = coordinator;
  for (let index = 0; index < 100; index += 1) await authority.lookup(at(index));
  const held = Promise.withResolvers<void>();
  origin.held = held.promise;
  await clock.advance(ttlMs - windowMs);
  const readAll = async () => {
    for (let index = 0; index < 100; index += 1) assert.ok(authority.peek(at(index)));
    await settle();
  };
  await readAll();
  await readAll();
  assert.equal(origin.stats.heads, 100 + aheadMax);
  held.resolve();
  await settle();
  await readAll();
  assert.equal(origin.stats.heads, 200);
});
