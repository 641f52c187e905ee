/**
 * Three replicas and their cachestore, under load, while that store is in trouble. One suite for the in-repo S3 server,
 * which answers as Ceph RGW does, and for Ceph RGW, where the trouble is real (test/system).
 */
import assert from "node:assert/strict";
import { after, afterEach, before, suite, test } from "node:test";
import { SeededRandom } from "../../src/base/random.ts";
import { MiB } from "../../src/base/units.ts";
import type { SettingsTree } from "../../src/config/load.ts";
import { assertPattern } from "../support/pattern.ts";
import { type ReplicaCluster, startReplicas } from "../support/replica-cluster.ts";
import { type ReplicaFixture, startReplica, testBucket } from "../support/replica-fixture.ts";
import type { StoreTrouble, TroubledStore } from "../support/troubled-store.ts";
import { until } from "../support/until.ts";

/** Two whole chunks and the start of a third. */
const sizeBytes = 4 * MiB + 17;
const chunksPerObject = 3;
const keys = ["k0", "k1", "k2", "k3", "k4", "k5"];
/** Of no chunk of `keys`. */
const beaconBytes = 100;
/** Stopped comes last: Ceph waits half a minute for a gateway that was killed before it lets anybody make a bucket. */
const troubles: readonly StoreTrouble[] = ["hanging", "denying", "full", "stopped"];

/** Registers the suite. `kind` names the store in the tests' names. */
export function cachestoreTroubles(kind: string, start: () => Promise<TroubledStore>): void {
  suite(`three replicas and a cachestore in trouble, on ${kind}`, () => {
    let store: TroubledStore;
    let cluster: ReplicaCluster | undefined;

    before(async () => {
      store = await start();
    });
    after(() => store?.stop());
    afterEach(async () => {
      await store.heal();
      await cluster?.stop();
      cluster = undefined;
    });

    test(`on ${kind}: keys that the store does not know are refused at the start, with the reason`, async () => {
      await assert.rejects(startReplica({ settings: settingsOn(store, "chunks") }), {
        code: "config_invalid",
        message: /Cannot use bucket "chunks" .*: .*the store answered 403.*check the credentials/,
      });
    });

    for (const trouble of troubles) {
      test(`on ${kind}: a store that is ${trouble} under a mixed load costs no client an error and no origin call but for what is missing`, async () => {
        const bucket = `chunks-${trouble}`;
        await store.letIn();
        await store.createBucket(bucket);
        cluster = await startReplicas({ settings: settingsOn(store, bucket, trouble) });
        await endure(trouble, store, bucket, cluster);
      });
    }
  });
}

/** Only a store that hangs is found out by a timeout. For any other, the machine may be as slow as it is. */
function settingsOn(store: TroubledStore, bucket: string, trouble?: StoreTrouble): SettingsTree {
  const timeout = trouble === "hanging" ? "2s" : "20s";
  return {
    chunking: { size: "2MiB", tiers: [] },
    cachestore: {
      driver: "s3",
      s3: { endpoint: store.endpoint, bucket, use_path_style: "true" },
      attempt_timeout: timeout,
      stall_timeout: timeout,
      breaker_open: "300ms",
    },
  };
}

/** Whole objects, and ranges at the start, across a chunk's border, and at the end: `bytes=` of each. */
const shapes = ["", "0-99", `${MiB + 5}-${3 * MiB}`, `${2 * MiB - 10}-${2 * MiB + 10}`, "-70000"];

async function read({ get }: ReplicaFixture, key: string, shape: string): Promise<void> {
  const response = await get(key, shape === "" ? {} : { range: `bytes=${shape}` });
  const body = Buffer.from(await response.arrayBuffer());
  assert.equal(response.status, shape === "" ? 200 : 206, body.toString("utf8", 0, 300));
  const [first = "", last = ""] = shape.split("-");
  const start = first === "" && last !== "" ? sizeBytes - Number(last) : Number(first);
  const end = first === "" || last === "" ? sizeBytes : Number(last) + 1;
  assert.equal(body.length, end - start);
  assertPattern(body, keys.indexOf(key), start);
}

/** Every shape of every key through every replica, in an order of chance, four at a time for each replica. */
async function mixedLoad(replicas: readonly ReplicaFixture[], some: readonly string[]): Promise<void> {
  const random = new SeededRandom(7);
  const clients = replicas.flatMap((replica) => {
    const reads = some.flatMap((key) => shapes.map((shape) => ({ key, shape, at: random.next() })));
    reads.sort((left, right) => left.at - right.at);
    return Array.from({ length: 4 }, async () => {
      for (let next = reads.pop(); next; next = reads.pop()) await read(replica, next.key, next.shape);
    });
  });
  await Promise.all(clients);
}

/** Resolves when no chunk is on its way anywhere, commits included. */
async function quiet(replicas: readonly ReplicaFixture[]): Promise<void> {
  await until(async () => {
    const flights = await Promise.all(replicas.map(({ metric }) => metric("orca_flights")));
    return flights.every((count) => count === 0);
  });
}

/** What replicas hold themselves goes, so that the store and the origin are all there is. */
async function forgetMemory(replicas: readonly ReplicaFixture[]): Promise<void> {
  await quiet(replicas);
  for (const { opsEndpoint } of replicas) {
    const headers = { "x-orca-action": "clear" };
    const response = await fetch(`${opsEndpoint}/cache/clear`, { method: "POST", headers });
    assert.equal(response.status, 200, await response.text());
  }
}

interface Readiness {
  readonly ready: boolean;
  readonly notices: Readonly<Record<string, string>>;
}

/** What /readyz of each replica says. */
function readiness(replicas: readonly ReplicaFixture[]): Promise<Readiness[]> {
  return Promise.all(
    replicas.map(
      async ({ opsEndpoint }) => (await (await fetch(`${opsEndpoint}/readyz`)).json()) as Readiness,
    ),
  );
}

/** Clients are served all the same, and a person is told, in both places a person may look. */
function assertDenialTold(reports: readonly Readiness[], replicas: readonly ReplicaFixture[]): void {
  const told = /denies Orca's credentials or rights again and again/;
  for (const { ready } of reports) assert.equal(ready, true);
  assert.ok(reports.some(({ notices }) => told.test(notices["cachestore"] ?? "")));
  assert.ok(replicas.some(({ logger }) => logger.events.some(({ message }) => told.test(message))));
}

/** Fills the cachestore, strikes in the middle of a load, heals, and counts what the origin was asked for. */
async function endure(
  trouble: StoreTrouble,
  store: TroubledStore,
  bucket: string,
  cluster: ReplicaCluster,
): Promise<void> {
  const { origin, replicas } = cluster;
  for (const [seed, key] of keys.entries()) origin.put(testBucket, key, { seed, sizeBytes });
  const stored = keys.slice(0, 2);
  await mixedLoad(replicas, stored);
  await quiet(replicas);
  for (const key of stored) assert.equal(origin.bytesSent(key), sizeBytes, `${key} was fetched once`);
  assert.equal(await storedChunks(store, bucket), stored.length * chunksPerObject);
  await forgetMemory(replicas);
  origin.forgetRequests();

  // It strikes in the middle of the load, and stays for a second one.
  const running = mixedLoad(replicas, keys.slice(0, 4));
  await until(async () => origin.count("GET") > 0);
  await store.strike(trouble);
  await running;
  await mixedLoad(replicas, keys);
  await quiet(replicas);
  for (const key of keys) {
    if (!stored.includes(key)) assert.equal(origin.bytesSent(key), sizeBytes, `${key} was fetched once`);
    else if (trouble === "full") assert.equal(origin.bytesSent(key), 0, `${key} could still be had`);
    else assert.ok(origin.bytesSent(key) <= sizeBytes, `${key} was fetched once where it was out of reach`);
  }
  if (trouble === "denying") assertDenialTold(await readiness(replicas), replicas);

  await store.heal();
  await recover(cluster);
  await forgetMemory(replicas);
  // A put that its replica gave up may still be carried out by a store that was only slow: at most so many are missing.
  const missing = keys.length * chunksPerObject - (await storedChunks(store, bucket));
  assert.ok(missing > 0, "some commits were dropped");
  origin.forgetRequests();
  await Promise.all(keys.map((key, index) => read(replicas[index % 3] as ReplicaFixture, key, "")));
  const gets = origin.count("GET");
  if (trouble === "hanging") assert.ok(gets <= missing, `${gets} GETs with ${missing} chunks missing`);
  else assert.equal(gets, missing);
  await forgetMemory(replicas);
  assert.equal(
    await storedChunks(store, bucket),
    keys.length * chunksPerObject,
    "what was missing is stored now",
  );
  await mixedLoad(replicas, keys);
  assert.equal(origin.count("GET"), gets, "and the origin is not asked again");
}

/** Chunks of `keys` in the store, without those that {@link recover} has put there. */
async function storedChunks(store: TroubledStore, bucket: string): Promise<number> {
  return (await store.sizes(bucket)).filter((size) => size !== beaconBytes).length;
}

/** Nobody starts anything anew: the traffic alone finds out that the store is back. */
async function recover({ origin, replicas }: ReplicaCluster): Promise<void> {
  let turns = 0;
  await until(async () => {
    const key = `beacon-${turns}`;
    turns += 1;
    origin.put(testBucket, key, { seed: 0, sizeBytes: beaconBytes });
    for (const { get } of replicas)
      assert.equal((await (await get(key)).arrayBuffer()).byteLength, beaconBytes);
    const closed = replicas.map(({ metric }) => metric('orca_cachestore_breaker_state{state="closed"}'));
    return (await Promise.all(closed)).every((state) => state === 1);
  });
  for (const { ready, notices } of await readiness(replicas)) {
    assert.deepEqual([ready, notices["cachestore"]], [true, "ok"]);
  }
}
