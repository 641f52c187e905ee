import assert from "node:assert/strict";
import { test } from "node:test";
import { OrcaError } from "../../../src/base/orca-error.ts";
import { askingMax, outageMs, pauseMs } from "../../../src/object/freshness/stale-answers.ts";
import { settle } from "../../support/fake-clock.ts";
import { rejectsWith } from "../../support/rejects-with.ts";
import {
  location,
  type MetadataReplica,
  metadataCluster,
  originId,
  ttlMs,
  unavailable,
} from "../metadata-cluster.ts";

const staleIfErrorMs = 3_600_000;

/** All replicas have looked the object up, as version 1, and it has expired. The origin fails. */
async function expiredCluster(options: { staleIfErrorMs?: number } = { staleIfErrorMs }) {
  const cluster = metadataCluster(options);
  for (const replica of cluster.replicas) await replica.etag();
  await cluster.clock.advance(ttlMs);
  cluster.origin.fault = unavailable();
  cluster.network.calls.length = 0;
  return cluster;
}

async function staleness({ directory }: MetadataReplica) {
  const found = await directory.lookup(location);
  return found.kind === "found" ? found.record.stale : found.error.code;
}

test("Directory: an expired entry answers while the origin fails, says how old it is, and no longer than allowed", async () => {
  const { clock, coordinator } = await expiredCluster();
  assert.deepEqual(await staleness(coordinator), { ageMs: ttlMs, expiredMs: 0 });
  await clock.advance(staleIfErrorMs - 1);
  assert.deepEqual(await staleness(coordinator), {
    ageMs: ttlMs + staleIfErrorMs - 1,
    expiredMs: staleIfErrorMs - 1,
  });
  assert.equal(coordinator.knownEtag(), undefined, "it is no fresh entry");
  await clock.advance(1);
  await rejectsWith("origin_unavailable", coordinator.etag());
  assert.equal(coordinator.authority.size, 0);
});

test("Directory: without stale_if_error an expired entry answers nobody, and is swept", async () => {
  const { clock, coordinator } = await expiredCluster({});
  await rejectsWith("origin_unavailable", coordinator.etag());
  await clock.advance(60_000);
  assert.deepEqual([coordinator.directory.size, coordinator.authority.size], [0, 0]);
});

test("Directory: an expired entry is kept for stale_if_error and swept then", async () => {
  const { clock, coordinator, second } = await expiredCluster();
  await clock.advance(staleIfErrorMs - 60_000);
  assert.deepEqual([coordinator.authority.size, second.directory.size], [1, 1]);
  await clock.advance(120_000);
  assert.deepEqual([coordinator.authority.size, second.directory.size], [0, 0]);
});

test("Directory: only failures that pass let an expired entry answer", async () => {
  for (const code of ["origin_unavailable", "origin_throttled", "overloaded"] as const) {
    const { origin, coordinator } = await expiredCluster();
    origin.fault = new OrcaError(code, "origin", "no");
    assert.equal(await coordinator.etag(), "v1");
  }
  for (const code of ["origin_denied", "origin_no_credentials", "no_such_bucket", "internal"] as const) {
    const { origin, coordinator } = await expiredCluster();
    origin.fault = new OrcaError(code, "origin", "no");
    await rejectsWith(code, coordinator.etag());
    origin.fault = unavailable();
    await rejectsWith("origin_unavailable", coordinator.etag());
  }
});

test("Directory: what the origin says about an object ends its expired entry", async () => {
  const { clock, origin, coordinator } = await expiredCluster();
  origin.fault = undefined;
  origin.etag = undefined;
  assert.equal(await coordinator.etag(), "no_such_key");
  origin.fault = unavailable();
  await clock.advance(ttlMs);
  await rejectsWith("origin_unavailable", coordinator.etag());
});

test("Directory: during an outage few requests wait, and the origin is asked once a pause", async () => {
  const { clock, origin, coordinator } = await expiredCluster();
  const headsBefore = origin.stats.heads;
  const first = Array.from({ length: 50 }, () => coordinator.etag());
  assert.deepEqual(new Set(await Promise.all(first)), new Set(["v1"]));
  assert.equal(origin.stats.heads, headsBefore + 1, "one question for all");
  const held = Promise.withResolvers<void>();
  origin.held = held.promise;
  for (let pauses = 1; pauses <= 20; pauses += 1) {
    await clock.advance(pauseMs);
    for (let reads = 0; reads < 10; reads += 1) assert.equal(await coordinator.etag(), "v1");
  }
  assert.equal(origin.stats.heads, headsBefore + 2, "the origin hangs, and nobody waits");
  held.resolve();
  await settle();
  origin.fault = undefined;
  origin.etag = "v2";
  // The authority asks in the first pause, and the directory in front of it gets the answer in the second.
  for (let pauses = 1; pauses <= 2; pauses += 1) {
    await clock.advance(pauseMs);
    assert.equal(await coordinator.etag(), "v1");
    await settle();
  }
  assert.equal(await coordinator.etag(), "v2");
  assert.equal(origin.stats.heads, headsBefore + 3);
});

test("Directory: while the origin hangs, questions in the background are bounded, and all objects are answered", async () => {
  const { clock, origin, coordinator } = metadataCluster({ staleIfErrorMs });
  const locations = Array.from({ length: 100 }, (_, index) => ({ ...location, key: `k${index}` }));
  const readAll = async () => {
    const found = await Promise.all(
      locations.map((each) => coordinator.authority.answer(each, "", undefined)),
    );
    return found.filter(({ staleAgeMs }) => staleAgeMs !== undefined).length;
  };
  await readAll();
  await clock.advance(ttlMs);
  origin.fault = unavailable();
  assert.equal(await readAll(), 100);
  const held = Promise.withResolvers<void>();
  origin.held = held.promise;
  const { heads } = origin.stats;
  for (let waitedMs = 0; waitedMs < 2 * outageMs; waitedMs += pauseMs) {
    await clock.advance(pauseMs);
    assert.equal(await readAll(), 100);
  }
  assert.equal(origin.stats.heads, heads + askingMax);
  origin.fault = undefined;
  held.resolve();
  await settle();
  await clock.advance(pauseMs);
  await readAll();
  await clock.advance(pauseMs);
  await readAll();
  await settle();
  assert.equal(await readAll(), 0);
});

test("Directory: an object that nobody used for a while is asked about before its expired entry answers", async () => {
  const { clock, origin, coordinator } = await expiredCluster();
  assert.equal(await coordinator.etag(), "v1");
  origin.fault = undefined;
  origin.etag = "v2";
  await clock.advance(outageMs);
  assert.equal(await coordinator.etag(), "v2");
});

test("Directory: a client that names another ETag never gets an expired entry", async () => {
  const { coordinator, second } = await expiredCluster();
  for (const replica of [coordinator, second]) {
    assert.equal(await replica.etag(), "v1");
    await rejectsWith("origin_unavailable", replica.contradictedEtag());
  }
});

test("Directory: an entry that was found stale or invalidated answers nobody", async () => {
  const { coordinator, second, spreadRumors } = await expiredCluster();
  second.directory.forget(location, "v1");
  await rejectsWith("origin_unavailable", second.etag());
  assert.equal(coordinator.authority.size, 0, "the question carried the ETag");
  const other = await expiredCluster();
  other.second.server.invalidate({ originId, location });
  other.spreadRumors();
  spreadRumors();
  for (const replica of other.replicas) await rejectsWith("origin_unavailable", replica.etag());
});

test("Directory: an answer from before an invalidation that spreads does not outlive its time", async () => {
  const { clock, origin, second } = metadataCluster({ staleIfErrorMs });
  await second.etag();
  second.directory.invalidate(location);
  assert.equal(await second.etag(), "v1", "of the coordinator, which has not heard of it");
  await clock.advance(ttlMs);
  origin.fault = unavailable();
  assert.deepEqual(second.directory.size, 0);
});

test("Directory: a replica without an entry gets the coordinator's expired one, and does not keep it", async () => {
  const cluster = metadataCluster({ staleIfErrorMs });
  const { clock, origin, coordinator, second } = cluster;
  await coordinator.etag();
  await clock.advance(ttlMs + 10_000);
  origin.fault = unavailable();
  assert.deepEqual(await staleness(second), { ageMs: ttlMs + 10_000, expiredMs: 10_000 });
  assert.deepEqual([second.directory.size, second.directory.freshness.stale.answers], [0, 1]);
  const heads = origin.stats.heads;
  assert.equal(await second.etag(), "v1");
  assert.equal(origin.stats.heads, heads, "the coordinator has just asked");
});

test("Directory: an expired answer of the coordinator does not replace an entry that is fresh here", async () => {
  const { clock, origin, coordinator, second } = metadataCluster({ staleIfErrorMs });
  await coordinator.etag();
  await clock.advance(ttlMs - 1);
  await second.etag();
  coordinator.authority.invalidate(location);
  assert.equal(await second.etag(), "v1");
  origin.fault = unavailable();
  await clock.advance(1);
  assert.equal(await second.etag(), "v1");
  assert.equal(second.knownEtag(), undefined);
});

test("Directory: with an unreachable coordinator, this replica's own expired entry answers", async () => {
  const { network, coordinator, second } = await expiredCluster();
  network.hosts.delete(coordinator.id);
  assert.deepEqual(await staleness(second), { ageMs: ttlMs, expiredMs: 0 });
});
