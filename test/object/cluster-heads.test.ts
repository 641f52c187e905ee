import assert from "node:assert/strict";
import { test } from "node:test";
import { OrcaError } from "../../src/base/orca-error.ts";
import { settle } from "../support/fake-clock.ts";
import { memberOf } from "../support/member-of.ts";
import { rejectsWith } from "../support/rejects-with.ts";
import { location, metadataCluster, negativeTtlMs, ttlMs, unavailable } from "./metadata-cluster.ts";

test("ClusterHeads: one HEAD serves three replicas, however many callers ask at once and afterwards", async () => {
  const { origin, network, replicas, coordinator, second, third } = metadataCluster();
  const lookups = replicas.flatMap((replica) => Array.from({ length: 20 }, () => replica.etag()));
  for (const etag of await Promise.all(lookups)) assert.equal(etag, "v1");
  for (const replica of replicas) assert.equal(replica.knownEtag(), "v1");
  assert.equal(origin.stats.heads, 1);
  assert.deepEqual(
    new Set(network.calls.map(({ from, to }) => `${from} ${to}`)),
    new Set([second, third].map(({ id }) => `${id} ${coordinator.id}`)),
  );
  assert.deepEqual(coordinator.heads.stats, { peer: 0, self: 1, fallback: 0 });
  assert.deepEqual(second.heads.stats, { peer: 1, self: 0, fallback: 0 });
});

test("ClusterHeads: an entry expires on all replicas one TTL after the HEAD, whenever they asked", async () => {
  const { clock, origin, replicas, second, third } = metadataCluster();
  await second.etag();
  origin.etag = "v2";
  await clock.advance(ttlMs - 1);
  for (const replica of replicas) assert.equal(await replica.etag(), "v1");
  assert.equal(origin.stats.heads, 1);
  await clock.advance(1);
  for (const replica of replicas) assert.equal(replica.knownEtag(), undefined);
  for (const replica of [third, second]) assert.equal(await replica.etag(), "v2");
  assert.equal(origin.stats.heads, 2);
});

test("ClusterHeads: an absence expires on all replicas one negative TTL after the HEAD", async () => {
  const { clock, origin, replicas, second, third } = metadataCluster();
  origin.etag = undefined;
  assert.equal(await second.etag(), "no_such_key");
  origin.etag = "v1";
  await clock.advance(negativeTtlMs - 1);
  for (const replica of replicas) assert.equal(await replica.etag(), "no_such_key");
  assert.equal(origin.stats.heads, 1);
  await clock.advance(1);
  for (const replica of [third, second]) assert.equal(await replica.etag(), "v1");
  assert.equal(origin.stats.heads, 2);
});

test("ClusterHeads: the remaining TTL counts from when the coordinator was asked", async () => {
  const { clock, network, coordinator, second } = metadataCluster();
  await coordinator.etag();
  const wire = Promise.withResolvers<void>();
  network.carry = (from) => (from === coordinator.id ? wire.promise : Promise.resolve());
  const lookup = second.etag();
  await clock.advance(100_000);
  wire.resolve();
  assert.equal(await lookup, "v1");
  await clock.advance(ttlMs - 100_001);
  assert.equal(second.knownEtag(), "v1");
  await clock.advance(1);
  assert.equal(second.knownEtag(), undefined);
});

test("ClusterHeads: a joiner gets no answer that was stale when it asked, however long the answer was on its way", async () => {
  const { clock, origin, network, coordinator, second } = metadataCluster();
  await coordinator.etag();
  await clock.advance(ttlMs - 1);
  origin.etag = "v2";
  const wire = Promise.withResolvers<void>();
  network.carry = (from) => (from === coordinator.id ? wire.promise : Promise.resolve());
  const early = second.etag();
  await clock.advance(1);
  const late = [second.etag(), second.etag()];
  assert.equal(network.calls.length, 1);
  wire.resolve();
  assert.equal(await early, "v1");
  assert.deepEqual(await Promise.all(late), ["v2", "v2"]);
  assert.deepEqual([network.calls.length, origin.stats.heads], [2, 2]);
});

test("ClusterHeads: with TTL 0 every request asks the origin, and an overwrite is not published", async () => {
  const { origin, replicas, second } = metadataCluster({ ttlMs: 0, negativeTtlMs: 0 });
  for (const replica of replicas) assert.equal(await replica.etag(), "v1");
  origin.etag = "v2";
  second.directory.forget(location, "v1");
  for (const replica of replicas) assert.equal(await replica.etag(), "v2");
  assert.equal(origin.stats.heads, 6);
  for (const { rumors } of replicas) assert.equal(rumors.length, 0);
});

test("ClusterHeads: if the coordinator is unreachable, the origin is asked and the coordinator is probed", async () => {
  const { origin, network, coordinator, second, third } = metadataCluster();
  network.hosts.delete(coordinator.id);
  assert.equal(await second.etag(), "v1");
  assert.deepEqual([origin.stats.heads, network.calls.length], [1, 1]);
  assert.deepEqual(second.view.probed, [coordinator.id]);
  assert.deepEqual(second.heads.stats, { peer: 0, self: 0, fallback: 1 });
  await third.etag();
  assert.equal(origin.stats.heads, 2);
  second.view.live = third.view.live = [second.view.self, third.view.self];
  await second.etag();
  assert.equal(origin.stats.heads, 2);
});

for (const code of [
  "peer_unavailable",
  "shutting_down",
  "internal",
  "not_held",
  "request_timeout",
] as const) {
  test(`ClusterHeads: ${code} from the coordinator is no answer`, async () => {
    const { origin, network, coordinator, second } = metadataCluster();
    network.carry = (from) =>
      from === coordinator.id
        ? Promise.reject(new OrcaError(code, "mesh", "Cannot answer"))
        : Promise.resolve();
    assert.equal(await second.etag(), "v1");
    // One HEAD of the coordinator, whose answer was lost, and one of this replica in its place.
    assert.equal(origin.stats.heads, 2);
    // A replica that only fails to answer for this object is still asked about others.
    const isUnreachable = code === "peer_unavailable" || code === "shutting_down";
    assert.equal(second.coordination.stats.failures, isUnreachable ? 1 : 0);
  });
}

test("ClusterHeads: a coordinator that answers again, even with an error, is asked as before", async () => {
  const { clock, origin, network, coordinator, second } = metadataCluster({ ttlMs: 0 });
  network.hosts.delete(coordinator.id);
  await second.etag();
  network.hosts.set(coordinator.id, coordinator.server);
  await clock.advance(10_000);
  origin.fault = unavailable();
  await rejectsWith("origin_unavailable", second.etag());
  origin.fault = undefined;
  await second.etag();
  assert.deepEqual(
    network.calls.map(({ to }) => to),
    [coordinator.id, coordinator.id, coordinator.id],
  );
});

test("ClusterHeads: an error of the origin at the coordinator is final, and costs one HEAD", async () => {
  for (const code of ["origin_denied", "origin_unavailable", "origin_throttled", "overloaded"] as const) {
    const { origin, network, second } = metadataCluster();
    origin.fault = new OrcaError(code, "origin", "Cannot ask the origin");
    await rejectsWith(code, second.etag());
    assert.deepEqual([origin.stats.heads, network.calls.length], [1, 1]);
    assert.equal(second.directory.size, 0);
  }
});

test("ClusterHeads: a lasting error is cached by the coordinator and by the replicas that ask it", async () => {
  const { origin, replicas } = metadataCluster();
  origin.fault = new OrcaError("origin_missing_etag", "origin", "Cannot use the object");
  for (const replica of replicas) assert.equal(await replica.etag(), "origin_missing_etag");
  for (const replica of replicas) assert.equal(replica.knownEtag(), "origin_missing_etag");
  assert.equal(origin.stats.heads, 1);
});

test("ClusterHeads: two replicas that take each other for the coordinator cost one hop and one HEAD each", async () => {
  const { origin, network, coordinator, second } = metadataCluster();
  coordinator.view.live = [second.view.self];
  second.view.live = [coordinator.view.self];
  assert.deepEqual(await Promise.all([coordinator.etag(), second.etag()]), ["v1", "v1"]);
  assert.deepEqual(
    network.calls.map(({ from, to }) => `${from} ${to}`),
    [`${coordinator.id} ${second.id}`, `${second.id} ${coordinator.id}`],
  );
  assert.equal(origin.stats.heads, 2);
  for (const replica of [coordinator, second]) {
    assert.deepEqual(replica.heads.stats, { peer: 0, self: 0, fallback: 1 });
    assert.equal(replica.view.learnt, 1);
    assert.equal(replica.server.stats.notCoordinator, 1);
  }
});

test("ClusterHeads: a replica that learns of another coordinator asks that one", async () => {
  const { origin, network, coordinator, second, third } = metadataCluster();
  third.view.live = [second.view.self, third.view.self];
  third.view.acceptsViews = true;
  assert.equal(await third.etag(), "v1");
  assert.deepEqual(
    network.calls.map(({ to }) => to),
    [second.id, coordinator.id],
  );
  assert.deepEqual(third.heads.stats, { peer: 1, self: 0, fallback: 0 });
  assert.equal(await coordinator.etag(), "v1");
  assert.equal(origin.stats.heads, 1);
});

test("ClusterHeads: not_coordinator is accepted once: after the second, the origin is asked", async () => {
  const { origin, network, coordinator, second, third } = metadataCluster();
  third.view.live = [second.view.self, third.view.self];
  third.view.acceptsViews = true;
  coordinator.view.live = [second.view.self];
  assert.equal(await third.etag(), "v1");
  assert.equal(network.calls.length, 2);
  assert.deepEqual(third.heads.stats, { peer: 0, self: 0, fallback: 1 });
  assert.equal(origin.stats.heads, 1);
});

test("ClusterHeads: a coordinator that does not exist costs one attempt, and so does a malformed view", async () => {
  const { origin, network, coordinator, second, third } = metadataCluster();
  second.view.live = [memberOf("phantom")];
  assert.equal(await second.etag(), "v1");
  assert.equal(network.calls.length, 1);
  third.view.live = [second.view.self];
  third.view.learn = () => {
    throw new OrcaError("invalid_argument", "membership", "Cannot take a member into the view");
  };
  assert.equal(await third.etag(), "v1");
  assert.equal(network.calls.length, 2);
  assert.equal(await coordinator.etag(), "v1");
  assert.equal(origin.stats.heads, 3);
});

test("ClusterHeads: an overwrite that one replica finds costs one HEAD, and the other replicas learn of it", async () => {
  const { origin, network, replicas, spreadRumors, coordinator, second, third } = metadataCluster();
  for (const replica of replicas) await replica.etag();
  origin.etag = "v2";
  second.directory.forget(location, "v1");
  assert.equal(await second.etag(), "v2");
  assert.equal(origin.stats.heads, 2);
  assert.equal(coordinator.knownEtag(), undefined, "the coordinator's own clients had version 1 too");
  assert.equal(third.knownEtag(), "v1");
  assert.deepEqual(
    replicas.map(({ rumors }) => rumors.length),
    replicas.map((replica) => (replica === coordinator ? 1 : 0)),
  );
  assert.equal(spreadRumors(), 1);
  for (const replica of replicas) assert.equal(await replica.etag(), "v2");
  assert.equal(spreadRumors(), 0);
  assert.equal(origin.stats.heads, 2);
  const stale = network.calls.map(({ request }) => ("staleEtag" in request ? request.staleEtag : undefined));
  assert.deepEqual(stale, ["", "", "v1", "v1"], "the replica that found the overwrite keeps the new version");
});

test("ClusterHeads: an overwrite that the coordinator finds itself costs the same", async () => {
  const { origin, network, replicas, spreadRumors, coordinator } = metadataCluster();
  for (const replica of replicas) await replica.etag();
  origin.etag = "v2";
  coordinator.directory.forget(location, "v1");
  assert.equal(await coordinator.etag(), "v2");
  assert.equal(coordinator.knownEtag(), "v2");
  assert.equal(spreadRumors(), 1);
  for (const replica of replicas) assert.equal(await replica.etag(), "v2");
  assert.deepEqual([origin.stats.heads, network.calls.length], [2, 4]);
});

test("ClusterHeads: replicas that find an overwrite at once share one HEAD and one rumor", async () => {
  const { origin, replicas, spreadRumors } = metadataCluster();
  for (const replica of replicas) await replica.etag();
  origin.etag = "v2";
  const lookups = replicas.flatMap((replica) =>
    Array.from({ length: 5 }, () => {
      replica.directory.forget(location, "v1");
      return replica.etag();
    }),
  );
  for (const etag of await Promise.all(lookups)) assert.equal(etag, "v2");
  assert.equal(origin.stats.heads, 2);
  assert.equal(spreadRumors(), 1);
});

test("ClusterHeads: the coordinator answers a replica that finds an overwrite late without a HEAD", async () => {
  const { origin, replicas, second, third } = metadataCluster();
  for (const replica of replicas) await replica.etag();
  origin.etag = "v2";
  second.directory.forget(location, "v1");
  await second.etag();
  // The rumor is lost.
  assert.equal(await third.etag(), "v1");
  third.directory.forget(location, "v1");
  assert.equal(await third.etag(), "v2");
  assert.equal(origin.stats.heads, 2);
});

test("ClusterHeads: a deletion costs one HEAD and one rumor as well", async () => {
  const { origin, replicas, spreadRumors } = metadataCluster();
  for (const replica of replicas) await replica.etag();
  origin.etag = undefined;
  for (const replica of replicas) {
    replica.directory.forget(location, "v1");
    assert.equal(await replica.etag(), "no_such_key");
  }
  assert.equal(origin.stats.heads, 2);
  assert.equal(spreadRumors(), 1);
});

test("ClusterHeads: a replica that knows of the overwrite does not join a HEAD sent before it", async () => {
  const { clock, origin, second, third } = metadataCluster();
  await second.etag();
  await clock.advance(ttlMs);
  const held = Promise.withResolvers<void>();
  origin.held = held.promise;
  const before = third.etag();
  await settle();
  assert.equal(origin.stats.heads, 2);
  origin.etag = "v2";
  origin.held = undefined;
  second.directory.forget(location, "v1");
  assert.equal(await second.etag(), "v2");
  held.resolve();
  assert.equal(await before, "v1");
  // Version 1 arrived without remaining TTL, so the next look-up asks, and the coordinator has version 2.
  assert.equal(third.knownEtag(), undefined);
  assert.equal(await third.etag(), "v2");
  assert.equal(origin.stats.heads, 3);
});

test("ClusterHeads: if the stale ETag is still the object's, nothing is published", async () => {
  const { origin, replicas, second, spreadRumors } = metadataCluster();
  for (const replica of replicas) await replica.etag();
  second.directory.forget(location, "v1");
  assert.equal(await second.etag(), "v1");
  assert.equal(second.knownEtag(), "v1");
  assert.equal(origin.stats.heads, 2);
  assert.equal(spreadRumors(), 0);
});

test("ClusterHeads: if the origin fails, the stale marker stays, and the next look-up sends it again", async () => {
  const { origin, network, replicas, second, third, spreadRumors } = metadataCluster();
  for (const replica of replicas) await replica.etag();
  origin.etag = "v2";
  origin.fault = unavailable();
  second.directory.forget(location, "v1");
  await rejectsWith("origin_unavailable", second.etag());
  assert.equal(spreadRumors(), 0);
  origin.fault = undefined;
  assert.equal(await second.etag(), "v2");
  assert.deepEqual(
    network.calls.slice(-2).map(({ request }) => "staleEtag" in request && request.staleEtag),
    ["v1", "v1"],
  );
  assert.equal(spreadRumors(), 1);
  assert.equal(await third.etag(), "v2");
  assert.equal(origin.stats.heads, 3);
});

test("ClusterHeads: a replica that asks the origin in the coordinator's place publishes an overwrite, too", async () => {
  const { origin, network, replicas, coordinator, second, spreadRumors } = metadataCluster();
  for (const replica of replicas) await replica.etag();
  origin.etag = "v2";
  network.hosts.delete(coordinator.id);
  second.directory.forget(location, "v1");
  assert.equal(await second.etag(), "v2");
  assert.equal(second.rumors.length, 1);
  network.hosts.set(coordinator.id, coordinator.server);
  assert.equal(spreadRumors(), 1);
  assert.equal(await coordinator.etag(), "v2");
});
