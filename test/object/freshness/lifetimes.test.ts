import assert from "node:assert/strict";
import { test } from "node:test";
import { type Lifetime, Lifetimes } from "../../../src/object/freshness/lifetimes.ts";
import { location, metadataCluster, negativeTtlMs, originId, ttlMs } from "../metadata-cluster.ts";

const lifetime = (ownTtlMs: number): Lifetime => ({ ttlMs: ownTtlMs, negativeTtlMs });
const immutable = { bucket: location.bucket, prefix: "llama/", lifetime: lifetime(Infinity) };
const longMs = 50 * ttlMs;

test("Lifetimes.of: the longest prefix of the bucket decides, then any other bucket, then all", () => {
  const lifetimes = new Lifetimes(lifetime(5), [
    { bucket: "a", prefix: "x/", lifetime: lifetime(1) },
    { bucket: undefined, prefix: "x/", lifetime: lifetime(4) },
    { bucket: "a", prefix: "x/y/", lifetime: lifetime(2) },
    { bucket: "b", prefix: "", lifetime: lifetime(3) },
  ]);
  const ttlOf = (bucket: string, key: string): number => lifetimes.of({ bucket, key }).ttlMs;
  assert.deepEqual(
    [ttlOf("a", "x/k"), ttlOf("a", "x/y/k"), ttlOf("b", "x/k"), ttlOf("c", "x/k"), ttlOf("c", "k")],
    [1, 2, 3, 4, 5],
  );
  assert.equal(ttlOf("a", "k"), 5);
  assert.equal(lifetimes.ttlMsMin, 1);
});

test("Directory: an immutable object is asked for once, whatever time passes", async () => {
  const { clock, origin, replicas } = metadataCluster({ lifetimePlaces: [immutable], refreshAhead: 0.5 });
  for (const replica of replicas) assert.equal(await replica.etag(), "v1");
  for (let periods = 0; periods < 3; periods += 1) {
    await clock.advance(longMs);
    for (const replica of replicas) assert.equal(replica.knownEtag(), "v1");
  }
  assert.equal(origin.stats.heads, 1);
});

test("Directory: an immutable object is seen negativeTtlMs after its creation", async () => {
  const { clock, origin, second } = metadataCluster({ lifetimePlaces: [immutable] });
  origin.etag = undefined;
  assert.equal(await second.etag(), "no_such_key");
  origin.etag = "v1";
  await clock.advance(negativeTtlMs - 1);
  assert.equal(await second.etag(), "no_such_key");
  await clock.advance(1);
  assert.equal(await second.etag(), "v1");
});

test("Directory: an immutable object that changes is seen by a contradicting client, a fill and an invalidation", async () => {
  const { clock, origin, replicas, spreadRumors, coordinator, second, third } = metadataCluster({
    lifetimePlaces: [immutable],
  });
  for (const replica of replicas) await replica.etag();
  await clock.advance(longMs);
  origin.etag = "v2";
  assert.equal(await second.contradictedEtag(), "v2");
  spreadRumors();
  assert.deepEqual([await third.etag(), await coordinator.etag(), origin.stats.heads], ["v2", "v2", 2]);
  await clock.advance(longMs);
  origin.etag = "v3";
  third.directory.forget(location, "v2");
  assert.equal(await third.etag(), "v3");
  spreadRumors();
  assert.deepEqual([await second.etag(), origin.stats.heads], ["v3", 3]);
  await clock.advance(longMs);
  origin.etag = "v4";
  second.server.invalidate({ originId, location });
  spreadRumors();
  for (const replica of replicas) assert.equal(await replica.etag(), "v4");
});

test("Directory: other objects keep the common TTL", async () => {
  const { clock, origin, second } = metadataCluster({
    lifetimePlaces: [{ ...immutable, prefix: "mistral/" }],
  });
  await second.etag();
  await clock.advance(ttlMs - 1);
  assert.equal(second.knownEtag(), "v1");
  await clock.advance(1);
  assert.equal(second.knownEtag(), undefined);
  assert.equal(origin.stats.heads, 1);
});
