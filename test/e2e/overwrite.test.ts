/**
 * Downloads in parts, as the AWS CRT makes them, through all replicas at once, of an object that is overwritten meanwhile.
 * The first part pins nothing, the others pin its ETag. With a TTL of an hour nothing here comes out by waiting.
 */
import assert from "node:assert/strict";
import { afterEach, test } from "node:test";
import { type Clock, SystemClock } from "../../src/base/clock.ts";
import { MiB } from "../../src/base/units.ts";
import type { SettingsTree } from "../../src/config/load.ts";
import { refreshMs } from "../../src/object/freshness/revalidations.ts";
import { FakeClock } from "../support/fake-clock.ts";
import { assertPattern } from "../support/pattern.ts";
import { type ReplicaCluster, startReplicas } from "../support/replica-cluster.ts";
import { type ReplicaFixture, startReplica, testBucket } from "../support/replica-fixture.ts";

const settings = { chunking: { size: "1MiB", tiers: [] }, metadata: { ttl: "1h" } };
const sizeBytes = 16 * MiB;
const partBytes = 512 * 1024;
const oldSeed = 3;
const newSeed = 9;

let stop: (() => Promise<void>) | undefined;

afterEach(async () => {
  await stop?.();
  stop = undefined;
});

async function start(own: SettingsTree = {}, clock?: Clock): Promise<ReplicaCluster> {
  const cluster = await startReplicas({ settings: { ...settings, ...own }, ...(clock && { clock }) });
  stop = cluster.stop;
  return cluster;
}

async function readAll(response: Response): Promise<Buffer> {
  return Buffer.from(await response.arrayBuffer());
}

function etagOf(response: Response): string {
  return response.headers.get("etag") ?? "";
}

function rangeOf(part: number): Record<string, string> {
  return { Range: `bytes=${part * partBytes}-${(part + 1) * partBytes - 1}` };
}

/** The status of a pinned read, of which the bytes are checked where it has any. */
async function readPinned(replica: ReplicaFixture, etag: string, seed: number, part = 0): Promise<number> {
  const response = await replica.get("k", { ...rangeOf(part), "If-Match": etag });
  const bytes = await readAll(response);
  if (response.status === 206) assertPattern(bytes, seed, part * partBytes);
  return response.status;
}

/** Reads the object in parts, the first through `first` and the others through all. @returns whether it was one version. */
async function download(
  replicas: readonly ReplicaFixture[],
  first: number,
  seeds: ReadonlyMap<string, number>,
  begun: () => void = () => {},
): Promise<boolean> {
  const begin = await replicas[first % replicas.length]?.get("k", rangeOf(0));
  assert.equal(begin?.status, 206);
  const etag = etagOf(begin);
  const seed = seeds.get(etag);
  assert.ok(seed !== undefined, `unknown ETag ${etag}`);
  assertPattern(await readAll(begin), seed, 0);
  begun();
  const parts = Array.from({ length: sizeBytes / partBytes - 1 }, (_, index) => {
    const replica = replicas[(first + index) % replicas.length] as ReplicaFixture;
    return readPinned(replica, etag, seed, index + 1);
  });
  const statuses = new Set(await Promise.all(parts));
  for (const status of statuses) assert.ok(status === 206 || status === 412, `status ${status}`);
  return !statuses.has(412);
}

test("the new ETag is served by every replica at once, though all believe the old one: one HEAD more", async () => {
  const { origin, replicas } = await start();
  origin.put(testBucket, "k", { seed: oldSeed, sizeBytes });
  for (const replica of replicas) await readAll(await replica.get("k"));
  assert.equal(origin.count("HEAD", "k"), 0);
  const { etag } = origin.put(testBucket, "k", { seed: newSeed, sizeBytes });
  const reads = replicas.flatMap((replica) =>
    Array.from({ length: 20 }, (_, part) => readPinned(replica, `"${etag}"`, newSeed, part)),
  );
  assert.deepEqual(new Set(await Promise.all(reads)), new Set([206]));
  assert.equal(origin.count("HEAD", "k"), 1);
});

test("an overwrite that one replica has seen is seen by all: the new ETag is served, the old one is 412", async () => {
  const { origin, replicas } = await start();
  const old = origin.put(testBucket, "k", { seed: oldSeed, sizeBytes });
  for (const replica of replicas) assert.equal(await readPinned(replica, `"${old.etag}"`, oldSeed), 206);
  const { etag } = origin.put(testBucket, "k", { seed: newSeed, sizeBytes });
  const [first] = replicas;
  assert.ok(first);
  // The last chunk is nowhere yet, so that its fill finds out.
  const seen = await first.get("k", rangeOf(sizeBytes / partBytes - 1));
  assert.equal(etagOf(seen), `"${etag}"`);
  await readAll(seen);
  assert.equal(origin.count("HEAD", "k"), 1);
  for (const replica of replicas) assert.equal(await readPinned(replica, `"${etag}"`, newSeed), 206);
  assert.equal(origin.count("HEAD", "k"), 1);
  for (const replica of replicas) assert.equal(await readPinned(replica, `"${old.etag}"`, oldSeed), 412);
  assert.equal(origin.count("HEAD", "k"), 2, "what contradicts all that is known is the origin's to judge");
});

test("parallel downloads in parts under an overwrite: each is one version or a clean 412, and a retry ends that", async () => {
  // With one GET at a time for each replica most of the object is still at the origin when it is overwritten.
  // The others wait for that as long as a busy machine takes: this is about versions.
  const { origin, replicas } = await start({ origin: { target_global: "3", queue_timeout: "5m" } });
  const seeds = new Map<string, number>();
  const put = (seed: number): void => {
    seeds.set(`"${origin.put(testBucket, "k", { seed, sizeBytes }).etag}"`, seed);
  };
  put(oldSeed);
  origin.faults.always("GET", "k", { delayHeadMs: 10 });
  const startedMs = performance.now();
  const overwrite = (): void => {
    if (seeds.size === 1) put(newSeed);
  };
  let refused = 0;
  const clients = Array.from({ length: 6 }, async (_, first) => {
    let attempts = 1;
    for (; !(await download(replicas, first, seeds, overwrite)); attempts += 1) refused += 1;
    // One more where the first part of the retry was a step ahead of the news.
    assert.ok(attempts <= 3, `${attempts} attempts`);
  });
  await Promise.all(clients);
  assert.ok(refused > 0);
  // One for the new version, one that tells its checksums, and while the old one is pinned one a second.
  const headsMax = 3 + (performance.now() - startedMs) / 1000;
  const heads = origin.count("HEAD", "k");
  assert.ok(heads >= 1 && heads <= headsMax, `${heads} HEADs`);
  for (let first = 0; first < 3; first += 1) assert.ok(await download(replicas, first, seeds));
  assert.equal(origin.count("HEAD", "k"), heads);
});

test("a flood of nonsense in If-Match is 412, for one HEAD a second at the origin", async () => {
  const { origin, replicas } = await start();
  origin.put(testBucket, "k", { seed: oldSeed, sizeBytes });
  for (const replica of replicas) await readAll(await replica.get("k", rangeOf(0)));
  const startedMs = performance.now();
  for (let round = 0; round < 10; round += 1) {
    const reads = Array.from({ length: 60 }, (_, index) =>
      readPinned(replicas[index % 3] as ReplicaFixture, `"${round}-${index}"`, oldSeed),
    );
    assert.deepEqual(new Set(await Promise.all(reads)), new Set([412]));
  }
  const heads = origin.count("HEAD", "k");
  // The first one also tells the checksums, which the opening GET did not.
  const headsMax = 2 + (performance.now() - startedMs) / 1000;
  assert.ok(heads >= 1 && heads <= headsMax, `${heads} HEADs`);
});

test("reads in parts of an unchanged object cost no HEAD", async () => {
  const { origin, replicas } = await start();
  const { etag } = origin.put(testBucket, "k", { seed: oldSeed, sizeBytes });
  const seeds = new Map([[`"${etag}"`, oldSeed]]);
  for (let first = 0; first < 6; first += 1) assert.ok(await download(replicas, first, seeds));
  assert.equal(origin.count("HEAD", "k"), 0);
  const revalidations = await Promise.all(
    replicas.map(({ metric }) => metric('orca_directory_checks_total{origin="test",reason="revalidation"}')),
  );
  assert.deepEqual(revalidations, [0, 0, 0]);
});

test("what begins a read in parts is confirmed once a second; what pins a version, and the whole, is not", async () => {
  let skewMs = 0;
  const system = new SystemClock();
  const clock: Clock = {
    now: () => system.now(),
    monotonic: () => system.monotonic() + skewMs,
    timer: (delayMs, callback) => system.timer(delayMs, callback),
  };
  const { origin, replicas } = await start({}, clock);
  const { etag } = origin.put(testBucket, "k", { seed: oldSeed, sizeBytes: 1000 });
  const [replica] = replicas;
  assert.ok(replica);
  const refreshes = (): Promise<number> =>
    replica.metric('orca_directory_checks_total{origin="test",reason="refresh"}');
  const url = `${replica.endpoint}/${testBucket}/k`;
  const read = async (init: RequestInit, query = ""): Promise<void> => {
    const response = await fetch(url + query, init);
    await readAll(response);
    assert.ok(response.ok, `status ${response.status}`);
  };
  const range = "bytes=0-9";
  await read({});
  skewMs += 3_000_000;
  await read({});
  await read({ headers: { range, "If-Match": `"${etag}"` } });
  await read({ headers: { range, "If-Range": `"${etag}"` } });
  assert.equal(await refreshes(), 0);
  let expected = 0;
  for (const [init, query] of [
    [{ headers: { range } }, ""],
    [{ method: "HEAD" }, ""],
    [{}, "?partNumber=1"],
  ] as const) {
    skewMs += refreshMs;
    await read(init, query);
    expected += 1;
    assert.equal(await refreshes(), expected);
  }
  assert.equal(origin.count("HEAD", "k"), 0);
});

test("a cluster of one asks the origin before a 412, and after nothing else", async () => {
  const orca = await startReplica({ settings });
  stop = orca.stop;
  const { origin } = orca;
  const old = origin.put(testBucket, "k", { seed: oldSeed, sizeBytes });
  assert.equal(await readPinned(orca, `"${old.etag}"`, oldSeed), 206);
  const { etag } = origin.put(testBucket, "k", { seed: newSeed, sizeBytes });
  assert.equal(await readPinned(orca, `"0", "${etag}"`, newSeed), 206);
  assert.equal(origin.count("HEAD", "k"), 1);
  const absent = await orca.get("absent", { "If-Match": '"e"' });
  assert.deepEqual([absent.status, (await readAll(absent)).includes("NoSuchKey")], [404, true]);
});

test("If-Range with a date: two versions of one second are not joined, however long ago that second is", async () => {
  const clock = new FakeClock();
  const orca = await startReplica({ settings: { ...settings, metadata: { ttl: "5m" } }, clock });
  stop = orca.stop;
  const { origin } = orca;
  const lastModifiedMs = clock.now();
  origin.put(testBucket, "k", { seed: oldSeed, sizeBytes, lastModifiedMs });
  // The old version comes into the cache within the second in which it is overwritten.
  const whole = await orca.get("k");
  await readAll(whole);
  origin.put(testBucket, "k", { seed: newSeed, sizeBytes, lastModifiedMs: lastModifiedMs + 999 });
  await clock.advance(60_000);
  const begun = await orca.get("k", rangeOf(0));
  assertPattern(await readAll(begun), oldSeed, 0);
  const date = begun.headers.get("last-modified") ?? "";
  await clock.advance(300_000);
  const rest = await orca.get("k", { ...rangeOf(1), "If-Range": date });
  assert.equal(rest.headers.get("last-modified"), date);
  assert.equal(rest.status, 200);
  assertPattern(await readAll(rest), newSeed, 0);
});
