import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import { afterEach, beforeEach, test } from "node:test";
import { MiB } from "../../src/base/units.ts";
import type { SettingsTree } from "../../src/config/load.ts";
import { assertPattern } from "../support/pattern.ts";
import { type ReplicaCluster, startReplicas } from "../support/replica-cluster.ts";
import { type ReplicaFixture, startReplica, testBucket } from "../support/replica-fixture.ts";
import { S3Server } from "../support/s3-server.ts";
import { until } from "../support/until.ts";

const storeBucket = "chunks";
const sizeBytes = 6 * MiB + 17;
const chunking = { size: "1MiB", tiers: [] };

let store: S3Server;
let folder: string;
const started: { stop: () => Promise<void> }[] = [];

beforeEach(async () => {
  store = await S3Server.start({ buckets: [storeBucket] });
  folder = mkdtempSync(join(tmpdir(), "orca-shared-"));
});
afterEach(async () => {
  for (const each of started.splice(0)) await each.stop();
  await store.stop();
  rmSync(folder, { recursive: true, force: true });
});

/** Of one request to a store that is in trouble. A store in good health gets more: the machine may be busy. */
const troubledTimeout = "300ms";
const healthyTimeout = "10s";

function settingsFor(driver: "s3" | "posixfs", timeout = troubledTimeout): SettingsTree {
  return {
    chunking,
    cachestore: {
      driver,
      ...(driver === "s3"
        ? { s3: { endpoint: store.endpoint, bucket: storeBucket, use_path_style: "true" } }
        : { posixfs: { root: folder } }),
      attempt_timeout: timeout,
      stall_timeout: timeout,
    },
  };
}

async function single(driver: "s3" | "posixfs", origin?: S3Server): Promise<ReplicaFixture> {
  const orca = await startReplica({
    settings: settingsFor(driver, healthyTimeout),
    ...(origin && { origin }),
  });
  started.push(orca);
  return orca;
}

async function cluster(timeout = troubledTimeout): Promise<ReplicaCluster> {
  const replicas = await startReplicas({ settings: settingsFor("s3", timeout) });
  started.push(replicas);
  return replicas;
}

async function readAll(response: Response): Promise<Buffer> {
  assert.equal(response.status, 200);
  return Buffer.from(await response.arrayBuffer());
}

const storedTotal = 'orca_cachestore_commits_total{result="stored"}';

for (const driver of ["s3", "posixfs"] as const) {
  test(`${driver}: what one replica has stored, another that starts empty reads without its origin`, async () => {
    const first = await single(driver);
    const { origin } = first;
    origin.put(testBucket, "k", { seed: 2, sizeBytes });
    assertPattern(await readAll(await first.get("k")), 2, 0);
    await until(async () => (await first.metric(storedTotal)) === 7);
    const gets = origin.count("GET", "k");
    assert.equal(gets, 7);
    const second = await single(driver, origin);
    const response = await second.get("k");
    assert.match(response.headers.get("cache-status") ?? "", /detail=cachestore/);
    assertPattern(await readAll(response), 2, 0);
    assert.equal(origin.count("GET", "k"), gets);
  });
}

test("three replicas and a cachestore: each chunk is stored once, and announced to all", async () => {
  const { origin, replicas } = await cluster(healthyTimeout);
  origin.put(testBucket, "k", { seed: 2, sizeBytes });
  const [first] = replicas;
  assert.ok(first);
  assertPattern(await readAll(await first.get("k")), 2, 0);
  await until(async () => {
    const hints = await Promise.all(replicas.map(({ metric }) => metric("orca_catalog_hints")));
    return hints.every((count) => count === 7);
  });
  const stored = await Promise.all(replicas.map(({ metric }) => metric(storedTotal)));
  assert.equal(
    stored.reduce((sum, count) => sum + count, 0),
    7,
  );
  for (const { get } of replicas) assertPattern(await readAll(await get("k")), 2, 0);
  assert.equal(origin.count("GET", "k"), 7);
});

const troubles = {
  "is gone": async () => store.stop(),
  hangs: async () => store.faults.always("*", "*", { delayHeadMs: 60_000 }),
  "is slow": async () => store.faults.always("*", "*", { delayHeadMs: 100, bytesPerSecond: 4 * MiB }),
  "answers 500": async () => store.faults.always("*", "*", { status: 500 }),
  "answers 403": async () => store.faults.always("*", "*", { status: 403 }),
  "is full": async () => store.faults.always("PUT", "*", { status: 507 }),
} as const;

for (const [what, strike] of Object.entries(troubles)) {
  test(`three replicas whose cachestore ${what} serve on, ask the origin for what is missing alone, and recover`, async () => {
    const { origin, replicas } = await cluster();
    const keys = Array.from({ length: 4 }, (_, index) => `k${index}`);
    for (const [index, key] of keys.entries()) origin.put(testBucket, key, { seed: index, sizeBytes });
    const readers = (some: readonly string[]): Promise<void>[] =>
      some.flatMap((key) =>
        replicas.map(async ({ get }) => {
          const seed = keys.indexOf(key);
          assertPattern(await readAll(await get(key)), seed, 0);
        }),
      );
    await Promise.all(readers(keys.slice(0, 2)));
    assert.equal(origin.count("GET"), 14);
    await strike();
    // What is cached, and what is not yet.
    await Promise.all(readers(keys));
    assert.equal(origin.count("GET"), 28, "no call beyond the chunks that were missing");
    store.faults.clear();
    if (what === "is gone") await store.listen();
    await Promise.all(readers(keys));
  });
}

test("a store that is versioned, or not there, is refused at the start with the reason", async () => {
  await assert.rejects(
    startReplica({
      settings: {
        ...settingsFor("s3"),
        cachestore: {
          driver: "s3",
          s3: { endpoint: store.endpoint, bucket: "absent", use_path_style: "true" },
        },
      } as unknown as SettingsTree,
    }),
    { code: "config_invalid", message: /absent/ },
  );
});

interface StoredChunk {
  readonly bytes: () => Buffer | undefined;
  /** Lays other bytes in its place, behind everybody's back; what stands beside the bytes stays as it is. */
  readonly overwrite: (bytes: Buffer) => void;
}

/** One of the chunks in the store. */
const storedChunk: Readonly<Record<"s3" | "posixfs", () => StoredChunk>> = {
  s3: () => {
    const key = store.requests.find(
      ({ operation, key: name }) => operation === "PUT" && name.endsWith("/3"),
    )?.key;
    assert.ok(key);
    const stored = store.get(storeBucket, key);
    assert.ok(stored);
    return {
      bytes: () => {
        const object = store.get(storeBucket, key);
        return object?.read(0, object.sizeBytes);
      },
      overwrite: (body) => void store.put(storeBucket, key, { body, headers: stored.headers }),
    };
  },
  posixfs: () => {
    const names = readdirSync(folder, { recursive: true, encoding: "utf8" });
    const name = names.find((each) => /\/[0-9a-f]{2}\/test\.[0-9a-f]{64}\.3$/.test(each));
    assert.ok(name);
    const path = join(folder, name);
    return {
      bytes: () => (readdirSync(dirname(path)).includes(basename(path)) ? readFileSync(path) : undefined),
      overwrite: (bytes) => writeFileSync(path, bytes),
    };
  },
};

const damages: Readonly<Record<string, (bytes: Buffer) => Buffer>> = {
  "has a bit flipped": (bytes) => {
    const flipped = Buffer.from(bytes);
    flipped[700_001] = (flipped[700_001] as number) ^ 4;
    return flipped;
  },
  "is truncated": (bytes) => bytes.subarray(0, 400_000),
  "is too long": (bytes) => Buffer.concat([bytes, bytes.subarray(0, 99)]),
};

async function damagedTotal({ metric }: ReplicaFixture): Promise<number> {
  const series = ["checksum", "size"].map((what) => metric(`orca_cachestore_damaged_total{what="${what}"}`));
  return (await Promise.all(series)).reduce((sum, count) => sum + count, 0);
}

for (const driver of ["s3", "posixfs"] as const) {
  for (const [what, damage] of Object.entries(damages)) {
    test(`${driver}: a stored chunk that ${what} is counted once, fetched anew and stored anew, and never served`, async () => {
      const first = await single(driver);
      const { origin } = first;
      origin.put(testBucket, "k", { seed: 2, sizeBytes });
      assertPattern(await readAll(await first.get("k")), 2, 0);
      await until(async () => (await first.metric(storedTotal)) === 7);
      const chunk = storedChunk[driver]();
      const right = chunk.bytes();
      assert.ok(right);
      chunk.overwrite(damage(right));
      origin.forgetRequests();

      const second = await single(driver, origin);
      assertPattern(await readAll(await second.get("k")), 2, 0);
      assert.deepEqual([origin.count("GET"), origin.bytesSent("k")], [1, MiB]);
      await until(async () => (await second.metric("orca_flights")) === 0);
      assert.equal(await damagedTotal(second), 1);
      assert.equal(await second.metric(storedTotal), 1);
      assert.ok(chunk.bytes()?.equals(right), "what lies there is the chunk again");

      const third = await single(driver, origin);
      assertPattern(await readAll(await third.get("k")), 2, 0);
      assert.deepEqual([await damagedTotal(third), origin.count("GET")], [0, 1]);
    });
  }
}
