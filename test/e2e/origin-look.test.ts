import assert from "node:assert/strict";
import { afterEach, test } from "node:test";
import { httpGet } from "../support/http-get.ts";
import { type ReplicaFixture, startReplica, testBucket } from "../support/replica-fixture.ts";
import { S3Server } from "../support/s3-server.ts";
import { until } from "../support/until.ts";

let replica: ReplicaFixture | undefined;
let server: S3Server | undefined;

afterEach(async () => {
  await replica?.stop();
  await server?.stop();
  [replica, server] = [undefined, undefined];
});

async function notice({ opsEndpoint }: ReplicaFixture, name: string): Promise<string | undefined> {
  const report = (await (await httpGet(`${opsEndpoint}/readyz`)).json()) as {
    ready: boolean;
    notices: Record<string, string>;
  };
  assert.equal(report.ready, true);
  return report.notices[name];
}

test("a replica of a bucket that does not exist serves, answers NoSuchBucket, and says so until it exists", async () => {
  server = await S3Server.start();
  replica = await startReplica({ origin: server });
  const { get, logger } = replica;
  await until(async () => (await notice(replica as ReplicaFixture, "origin test")) !== "ok");
  assert.match(
    (await notice(replica, "origin test")) ?? "",
    /^bucket "models": no_such_bucket: .* Create it/,
  );
  for (const key of ["a", "b/c"]) {
    const answer = await get(key);
    assert.equal(answer.status, 404);
    assert.match(await answer.text(), /<Code>NoSuchBucket<\/Code>/);
  }
  const warned = (): string[] =>
    logger.events.filter(({ level }) => level === "warn").map(({ message }) => message);
  const answered = (): number => warned().filter((message) => message === "Cannot answer a request").length;
  // A line of another thread may come after its response.
  await until(() => answered() === 2);
  const warnings = warned();
  assert.equal(warnings.filter((message) => message.startsWith('Cannot read bucket "models"')).length, 1);
  assert.equal(answered(), 2);
  server.put(testBucket, "a", { body: Buffer.from("x") });
  assert.equal(await (await get("a")).text(), "x");
  assert.match(await (await get("b")).text(), /<Code>NoSuchKey<\/Code>/);
  await until(async () => (await notice(replica as ReplicaFixture, "origin test")) === "ok");
});

test("a replica of a directory that does not exist answers NoSuchBucket", async () => {
  replica = await startReplica({
    settings: { origin: { driver: "file", file: { root: "/nodir" }, awss3: undefined } },
  });
  const answer = await httpGet(`${replica.endpoint}/nodir/a`);
  assert.equal(answer.status, 404);
  assert.match(await answer.text(), /<Code>NoSuchBucket<\/Code>/);
  await until(async () => (await notice(replica as ReplicaFixture, "origin test")) !== "ok");
});

test("a start does not wait for its origin", async () => {
  server = await S3Server.start({ buckets: [testBucket] });
  const gate = server.hold("LIST", "");
  replica = await startReplica({ origin: server });
  await gate.reached;
  assert.equal(await notice(replica, "origin test"), "ok");
  await replica.stop();
});
