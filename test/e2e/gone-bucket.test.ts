/** A configured bucket that its origin does not have (any more): requests about the bucket itself are 404, at few questions. */
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { type ReplicaFixture, type ReplicaFixtureOptions, startReplica } from "../support/replica-fixture.ts";
import { S3Server } from "../support/s3-server.ts";
import { until } from "../support/until.ts";

const absent = "404 NoSuchBucket";

async function start(context: TestContext, settings: NonNullable<ReplicaFixtureOptions["settings"]> = {}) {
  const origin = await S3Server.start({ buckets: ["models"] });
  origin.put("models", "a", { seed: 1, sizeBytes: 100 });
  const fixture = await startReplica({
    origin,
    settings: {
      ...settings,
      origin: { buckets: { models: {}, gone: { bucket: "was-here", prefix: "p/" } } },
    },
  });
  context.after(async () => {
    await fixture.stop();
    await origin.stop();
  });
  // The looks of the start.
  await until(() => origin.count("LIST") === 2 && origin.inFlight === 0);
  origin.forgetRequests();
  return { fixture, origin };
}

async function ask({ endpoint }: ReplicaFixture, target: string, method = "GET"): Promise<string> {
  const response = await fetch(endpoint + target, { method });
  return `${response.status} ${/<Code>(\w+)/.exec(await response.text())?.[1] ?? ""}`.trim();
}

const aboutBucket = ["", "?location", "?policy", "?versioning", "?list-type=2&max-keys=0", "?max-keys=0"];

test("a configured bucket that is gone: requests about it are NoSuchBucket, and one question for all of them", async (context) => {
  const { fixture, origin } = await start(context);
  assert.equal(await ask(fixture, "/gone", "HEAD"), "404");
  for (const target of aboutBucket.slice(1))
    assert.equal(await ask(fixture, `/gone${target}`), absent, target);
  const many = await Promise.all(Array.from({ length: 50 }, () => ask(fixture, "/gone", "HEAD")));
  assert.deepEqual(new Set(many), new Set(["404"]));
  assert.equal(origin.requests.length, 1);
  assert.equal(origin.count("LIST", "p/"), 1);
  // The bucket of a listing is the origin's own word.
  assert.equal(await ask(fixture, "/gone?list-type=2"), absent);
  assert.equal(await ask(fixture, "/gone/k"), absent);
});

test("a configured bucket that is there: requests about it cost one question per TTL", async (context) => {
  const { fixture, origin } = await start(context);
  for (let round = 0; round < 3; round += 1) {
    assert.equal(await ask(fixture, "/models", "HEAD"), "200");
    assert.equal(await ask(fixture, "/models?location"), "200");
    assert.equal(await ask(fixture, "/models?max-keys=0"), "200");
    assert.equal(await ask(fixture, "/models?policy"), "404 NoSuchBucketPolicy");
  }
  assert.equal(origin.requests.length, 1);
  // An object asks nothing about its bucket.
  assert.equal(await ask(fixture, "/models/a"), "200");
  assert.deepEqual([origin.count("LIST"), origin.count("GET")], [1, 1]);
});

test("a configured bucket: it is gone after the TTL, and back after the negative TTL", async (context) => {
  const { fixture, origin } = await start(context, { metadata: { ttl: "300ms", negative_ttl: "300ms" } });
  assert.equal(await ask(fixture, "/models", "HEAD"), "200");
  origin.deleteBucket("models");
  await until(async () => (await ask(fixture, "/models", "HEAD")) === "404");
  assert.equal(await ask(fixture, "/models?location"), absent);
  origin.put("models", "a", { seed: 1, sizeBytes: 100 });
  await until(async () => (await ask(fixture, "/models", "HEAD")) === "200");
});

test("a configured bucket: other trouble of the origin leaves it there, at one question in a while", async (context) => {
  const { fixture, origin } = await start(context);
  origin.faults.always("LIST", "*", { status: 403 });
  for (const target of ["/models", "/models", "/gone"])
    assert.equal(await ask(fixture, target, "HEAD"), "200");
  assert.equal(origin.count("LIST"), 2);
});

test("a configured bucket: while the origin is down, it is there", async (context) => {
  const { fixture, origin } = await start(context);
  await origin.stop();
  for (const target of ["/models", "/models", "/gone"])
    assert.equal(await ask(fixture, target, "HEAD"), "200");
  assert.equal(await ask(fixture, "/gone?location"), "200");
  await origin.listen();
});
