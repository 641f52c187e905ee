import assert from "node:assert/strict";
import { afterEach, test } from "node:test";
import { createClient } from "@connectrpc/connect";
import { ObjectService } from "../../gen/orca/v1/object_pb.ts";
import { SystemClock } from "../../src/base/clock.ts";
import { MiB } from "../../src/base/units.ts";
import { LoadConnection } from "../bench/http-load.ts";
import { ClusterCertificates } from "../support/cluster-certificates.ts";
import { meshFixture } from "../support/mesh-fixture.ts";
import { assertPattern, patternBytes } from "../support/pattern.ts";
import {
  allKnowAll,
  type ReplicaCluster,
  type ReplicaClusterOptions,
  startReplicas,
} from "../support/replica-cluster.ts";
import { type ReplicaFixture, testBucket } from "../support/replica-fixture.ts";
import { until } from "../support/until.ts";

let cluster: ReplicaCluster | undefined;

async function start(options: ReplicaClusterOptions = {}): Promise<ReplicaCluster> {
  cluster = await startReplicas({
    ...options,
    settings: { chunking: { size: "1MiB", tiers: [] }, ...options.settings },
  });
  return cluster;
}

afterEach(async () => {
  await cluster?.stop();
  cluster = undefined;
});

/**
 * A cluster for a crowd of clients. The crowd and the replicas share an event loop, which turns once in a second or two
 * on a busy machine. So that no replica gives up another for that, and fetches a chunk that the other fetches, too:
 * 1. Silence of a minute counts as a stall.
 * 2. The replicas have asked each other before the crowd comes. A handshake in the crowd can take longer than its 2 s.
 */
async function startSteady(): Promise<ReplicaCluster> {
  const started = await start({ settings: { cluster: { stall_timeout: "60s" } } });
  let round = 0;
  await until(() => {
    round += 1;
    return readsOnce(started, `steady/${round}`);
  }, 120_000);
  return started;
}

/** Whether all replicas read many new objects, and the origin sees one GET for each. */
async function readsOnce({ origin, replicas }: ReplicaCluster, prefix: string): Promise<boolean> {
  // Many, so that each replica asks each other one for versions and for chunks.
  const keys = Array.from({ length: 30 }, (_, index) => `${prefix}/${index}`);
  for (const key of keys) {
    origin.put(testBucket, key, { seed, sizeBytes: 1000 });
    for (const { get } of replicas) assertPattern(await readAll(await get(key)), seed, 0);
  }
  return keys.every((key) => origin.count("HEAD", key) === 0 && origin.count("GET", key) === 1);
}

const sizeBytes = 64 * MiB - 100;
const seed = 3;

/** Reads the whole object as one client of `replica`, and compares every byte. Leaves after `leaveAfterBytes`. */
async function download(
  { endpoint }: ReplicaFixture,
  expected: Buffer,
  leaveAfterBytes = Number.POSITIVE_INFINITY,
): Promise<void> {
  let offset = 0;
  const left = Promise.withResolvers<void>();
  const connection = new LoadConnection(Number(new URL(endpoint).port), (bytes) => {
    assert.equal(bytes.compare(expected, offset, offset + bytes.length), 0, `wrong bytes at ${offset}`);
    offset += bytes.length;
    if (offset >= leaveAfterBytes) left.resolve();
  });
  const whole = connection.get({ path: `/${testBucket}/k`, range: "", bodyBytes: expected.length });
  try {
    await Promise.race([whole, left.promise]);
  } finally {
    connection.close();
  }
  if (leaveAfterBytes > expected.length) assert.equal(offset, expected.length);
}

async function readAll(response: Response): Promise<Buffer> {
  return Buffer.from(await response.arrayBuffer());
}

test("300 clients of three replicas read a cold object of 64 chunks: 64 GETs and no HEAD at the origin", async () => {
  const { origin, replicas } = await startSteady();
  origin.put(testBucket, "k", { seed, sizeBytes });
  const expected = patternBytes(seed, 0, sizeBytes);
  const clients = Array.from({ length: 300 }, (_, index) =>
    download(replicas[index % 3] as ReplicaFixture, expected),
  );
  await Promise.all(clients);
  assert.equal(origin.count("GET", "k"), 64);
  assert.equal(origin.count("HEAD", "k"), 0);
  assert.equal(origin.bytesSent("k"), sizeBytes);
});

test("300 clients, a slow origin, and half of the clients leave: still each byte of a chunk once, in one GET", async () => {
  const { origin, replicas } = await startSteady();
  const smallBytes = 16 * MiB;
  origin.put(testBucket, "k", { seed, sizeBytes: smallBytes });
  origin.faults.always("GET", "k", { delayHeadMs: 100, bytesPerSecond: 8 * MiB });
  const expected = patternBytes(seed, 0, smallBytes);
  const clients = Array.from({ length: 300 }, (_, index) => {
    const leaves = index % 2 === 0;
    return download(
      replicas[index % 3] as ReplicaFixture,
      expected,
      leaves ? (index / 300) * smallBytes : undefined,
    );
  });
  await Promise.all(clients);
  const gets = origin.requests.filter(({ operation, key }) => operation === "GET" && key === "k");
  // One whose last reader leaves before its first byte is given up.
  assert.equal(gets.filter(({ bytesSent }) => bytesSent > 0).length, 16);
  assert.equal(origin.count("HEAD", "k"), 0);
  assert.equal(origin.bytesSent("k"), smallBytes);
});

test("requests in flight to the origin keep to its target over all replicas", async () => {
  const { origin, replicas } = await start({
    settings: { origin: { target_global: "6" }, chunking: { size: "1MiB", tiers: [], readahead: "32" } },
  });
  origin.put(testBucket, "k", { seed, sizeBytes });
  origin.faults.always("GET", "k", { delayHeadMs: 20 });
  const expected = patternBytes(seed, 0, sizeBytes);
  await Promise.all(replicas.map((replica) => download(replica, expected)));
  assert.ok(origin.inFlightMax <= 6, `${origin.inFlightMax} at once`);
  assert.equal(origin.count("GET", "k"), 64);
});

test("metadata is asked for once: HEADs, absences and listings of three replicas are one request each", async () => {
  const { origin, replicas } = await start();
  for (let index = 0; index < 6; index += 1)
    origin.put(testBucket, `dir/k${index}`, { seed, sizeBytes: 1000 });
  for (const { endpoint, get } of replicas) {
    for (let index = 0; index < 6; index += 1) {
      const head = await fetch(`${endpoint}/${testBucket}/dir/k${index}`, { method: "HEAD" });
      assert.equal(head.status, 200);
    }
    assert.equal((await get("absent")).status, 404);
    const list = await fetch(`${endpoint}/${testBucket}?list-type=2&prefix=dir/`);
    assert.equal((await list.text()).match(/<Key>/g)?.length, 6);
  }
  assert.deepEqual([origin.count("HEAD"), origin.count("GET")], [6, 1]);
  assert.equal(origin.count("LIST", "dir/"), 1);
});

test("a range of a few bytes costs one block of the origin and of the mesh, once for each replica", async () => {
  const { origin, replicas } = await start({ settings: { chunking: { size: "8MiB" } } });
  origin.put(testBucket, "k", { seed, sizeBytes });
  for (const { get } of [...replicas, ...replicas]) {
    const bytes = await readAll(await get("k", { Range: "bytes=3000000-3000099" }));
    assertPattern(bytes, seed, 3_000_000);
  }
  assert.equal(origin.count("GET", "k"), 1);
  const received = await Promise.all(replicas.map(({ metric }) => metric("orca_relay_peer_bytes_total")));
  assert.equal(
    received.reduce((sum, bytes) => sum + bytes, 0),
    2 * MiB,
  );
});

test("an object that is overwritten under its readers is seen by all replicas, for one HEAD more", async () => {
  const { origin, replicas } = await start({ settings: { metadata: { ttl: "1h" } } });
  origin.put(testBucket, "k", { seed, sizeBytes: 4 * MiB });
  for (const { get } of replicas) await readAll(await get("k", { Range: "bytes=0-9" }));
  origin.put(testBucket, "k", { seed: 9, sizeBytes: 4 * MiB });
  for (const { get } of replicas) {
    const response = await get("k", { Range: "bytes=3000000-3000009" });
    assert.equal(response.status, 206);
    assertPattern(await readAll(response), 9, 3_000_000);
  }
  assert.equal(origin.count("HEAD", "k"), 1);
});

test("Invalidate at one replica reaches all of them by gossip", async (context) => {
  const { origin, replicas, meshAddresses, certificates } = await start({
    settings: { metadata: { ttl: "1h" } },
  });
  assert.ok(certificates);
  origin.put(testBucket, "k", { seed, sizeBytes: 1000 });
  for (const { get } of replicas) await readAll(await get("k"));
  origin.put(testBucket, "k", { seed: 9, sizeBytes: 1000 });
  for (const { get } of replicas) assertPattern(await readAll(await get("k")), seed, 0);

  const { peers, tls } = meshFixture(context);
  const mesh = peers({ tls: await tls(await certificates.files("operator")), clock: new SystemClock() });
  const client = createClient(ObjectService, mesh.at(meshAddresses[0] as string).transport);
  await client.invalidate({ object: { originId: "test", bucket: testBucket, objectKey: "k" } });
  await until(async () => {
    const answers = await Promise.all(replicas.map(async ({ get }) => readAll(await get("k"))));
    return answers.every((bytes) => bytes.equals(patternBytes(9, 0, 1000)));
  });
  // The bytes of the old version are held, so the new one is asked for by a HEAD.
  assert.deepEqual([origin.count("HEAD", "k"), origin.count("GET", "k")], [1, 2]);
});

test("a replica that stops says goodbye: the others go on without an error, and fill what it would have", async () => {
  const { origin, replicas } = await start();
  origin.put(testBucket, "k", { seed, sizeBytes });
  origin.faults.always("GET", "k", { bytesPerSecond: 8 * MiB });
  const expected = patternBytes(seed, 0, sizeBytes);
  const [first, second, third] = replicas;
  assert.ok(first && second && third);
  const clients = [download(second, expected), download(third, expected)];
  await first.replica.stop();
  await Promise.all(clients);
  assert.deepEqual([second.replica.liveMembers, third.replica.liveMembers], [2, 2]);
});

test("a replica that joins does not disturb those that serve, and fills what falls to it", async () => {
  const { origin, replicas, join } = await start({ disk: false, replicas: 2 });
  origin.put(testBucket, "k", { seed, sizeBytes: 16 * MiB });
  const expected = patternBytes(seed, 0, 16 * MiB);
  const [first, second] = replicas;
  assert.ok(first && second);
  await Promise.all([download(first, expected), download(second, expected)]);
  const joined = await join();
  await allKnowAll(replicas);
  await Promise.all([download(first, expected), download(second, expected)]);
  assert.equal(origin.count("GET", "k"), 16);
  await download(joined, expected);
  assert.ok(origin.count("GET", "k") < 32, "most of it comes from the others");
});

test("a replica that cuts objects in another way is refused, and both say which setting differs", async () => {
  const { replicas, join } = await start({ replicas: 2, disk: false });
  assert.equal(replicas.length, 2);
  const stranger = await join({ chunking: { size: "2MiB", tiers: [] } });
  assert.equal(stranger.replica.liveMembers, 1);
  assert.deepEqual(
    replicas.slice(0, 2).map(({ replica }) => replica.liveMembers),
    [2, 2],
  );
  const said = stranger.logger.events.filter(({ level }) => level === "error").map(({ message }) => message);
  assert.match(said.join("\n"), /chunking\.size/);
});

test("a replica whose certificate comes from another authority stays outside, and is counted", async () => {
  const { replicas, join } = await start({ replicas: 2, disk: false });
  const stranger = await join({}, await ClusterCertificates.create());
  assert.equal(stranger.replica.liveMembers, 1);
  assert.deepEqual(
    replicas.slice(0, 2).map(({ replica }) => replica.liveMembers),
    [2, 2],
  );
  const refused = await stranger.metric(
    'orca_mesh_handshake_failures_total{side="client",reason="unknown_authority"}',
  );
  // It asks both again from time to time, so on a busy machine they are more.
  assert.ok(refused >= 2, "it would not have them either");
});
