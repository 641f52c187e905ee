import assert from "node:assert/strict";
import { availableParallelism } from "node:os";
import { test } from "node:test";
import { mapEntriesMax } from "../../src/config/codec.ts";
import type { Config } from "../../src/config/config.ts";
import { loadConfig } from "../../src/config/load.ts";
import { variableFor } from "../../src/config/overrides.ts";
import { schema, settingRows } from "../../src/config/schema.ts";

test("schema: every setting says what it means and when to change it", () => {
  for (const { path, type, meaning, advice } of settingRows()) {
    assert.notEqual(type, "", path);
    assert.match(meaning, /^[A-Z`].*\.$/, path);
    assert.match(advice, /^[A-Z`*].*\.$/, path);
  }
});

test("schema: no whole number is larger than what a Map or a Set can hold", () => {
  const numbers = settingRows().filter(
    // The chunks of a disk are in arrays of numbers.
    ({ type, path }) => type === "whole number" && path !== "disk.max_chunks",
  );
  assert.ok(numbers.length > 5);
  for (const { path, bounds } of numbers) {
    const max = Number(/^\d+ to (\d+)/.exec(bounds)?.[1]);
    assert.ok(max <= mapEntriesMax, `${path}: ${bounds}`);
  }
  // V8 throws a RangeError from the 16,777,217th entry on.
  assert.ok(mapEntriesMax < 2 ** 24);
});

function load(entries: number): Config {
  const origin = { id: "o", awss3: { bucket: "b" } };
  const metadata = { max_entries: entries };
  return loadConfig({ env: {}, overrides: { origin, metadata, chunk_catalog: metadata } });
}

test("loadConfig: the number of entries ends where a Map ends", () => {
  assert.equal(load(mapEntriesMax).cachestore.maxHints, mapEntriesMax);
  assert.throws(
    () => load(mapEntriesMax + 1),
    /chunk_catalog\.max_entries: expected a whole number 1 to 16000000, [^]*metadata\.max_entries: expected a whole number 1 to 16000000, /,
  );
});

test("loadConfig: s3 and awss3, path_style and use_path_style mean the same, for origins and for the cachestore", () => {
  for (const [driver, style] of [
    ["s3", "path_style"],
    ["awss3", "path_style"],
    ["s3", "use_path_style"],
  ] as const) {
    const section = { bucket: "b", [style]: "true" };
    const config = loadConfig({
      env: {},
      overrides: {
        origin: { id: "o", driver, [driver]: section },
        cachestore: { driver, [driver]: { ...section, bucket: "chunks", endpoint: "http://store:9000" } },
      },
    });
    const { driver: originDriver, awss3 } = config.origins[0] as (typeof config.origins)[0] & {
      awss3: { usePathStyle: boolean };
    };
    assert.deepEqual([originDriver, awss3.usePathStyle], ["awss3", true]);
    assert.deepEqual([config.cachestore.driver, config.cachestore.s3?.usePathStyle], ["s3", true]);
  }
  const both = { id: "o", awss3: { bucket: "b" }, s3: { bucket: "c" } };
  assert.throws(() => loadConfig({ env: {}, overrides: { origin: both } }), /origin\.s3: unknown key/);
});

test("schema: no two settings share a variable", () => {
  const names = settingRows().map(({ path }) => variableFor(path));
  assert.equal(new Set(names).size, names.length);
});

test("schema: the defaults are the design's", () => {
  const faults: [] = [];
  const settings = schema.read(
    { origin: { id: "o", awss3: { bucket: "b" } }, disk: { root: "/d" } },
    "",
    faults,
  );
  assert.deepEqual(faults, []);
  assert.deepEqual(settings.server, {
    listen: { host: "0.0.0.0", port: 8443 },
    opsListen: { host: "0.0.0.0", port: 8442 },
    opsActions: "local",
    opsTokenFile: undefined,
    opsTokenFor: "actions",
    opsTls: false,
    tls: undefined,
    auth: {
      enabled: false,
      mode: ["sigv4"],
      accessKeysFile: undefined,
      bearerSecretFile: undefined,
      anonymous: [],
      authorize: "keys",
      authorizeTtlMs: 60_000,
    },
    domain: undefined,
    strictRanges: false,
    warmHeader: false,
    threads: Math.min(16, availableParallelism()),
    cors: {
      origins: [],
      exposeHeaders: [
        "ETag",
        "Content-Range",
        "Content-Length",
        "Accept-Ranges",
        "Last-Modified",
        "x-amz-mp-parts-count",
        "x-amz-request-id",
        "x-amz-id-2",
      ],
      maxAgeMs: 3_600_000,
    },
    maxConnections: 10_000,
    maxRequests: 4096,
    clientStallTimeoutMs: 60_000,
    clientMinRateBytes: 16 * 1024,
    keepAliveTimeoutMs: 75_000,
    headerTimeoutMs: 20_000,
    drainDelayMs: 0,
    drainTimeoutMs: 30_000,
  });
  assert.deepEqual(settings.origin, {
    id: "o",
    driver: "awss3",
    targetGlobal: 192,
    queueTimeoutMs: 5000,
    connectTimeoutMs: 5000,
    attemptTimeoutMs: 30_000,
    stallTimeoutMs: 15_000,
    minRateBytes: 16 * 1024,
    minRateWindowMs: 30_000,
    hedge: false,
    pricePerGb: 0,
    retry: { attempts: 3, backoffInitialMs: 100, backoffMaxMs: 2000, maxTotalDurationMs: 5000 },
    buckets: undefined,
    allowDotSegments: false,
    awss3: {
      bucket: "b",
      endpoint: undefined,
      region: "us-east-1",
      usePathStyle: false,
      bucketOwner: undefined,
      requestPayer: false,
    },
    azureblob: undefined,
    file: undefined,
  });
  assert.deepEqual(settings.cachestore, {
    driver: "none",
    s3: undefined,
    posixfs: undefined,
    connectTimeoutMs: 1000,
    attemptTimeoutMs: 5000,
    stallTimeoutMs: 5000,
    commitTimeoutMs: 30_000,
    breakerWindowMs: 30_000,
    breakerOpenMs: 30_000,
    maxHints: 100_000,
  });
  assert.deepEqual(settings.memory, { maxBytes: 2 ** 30, queueTimeoutMs: 15_000 });
  assert.deepEqual(settings.disk, {
    root: "/d",
    maxBytes: 10 * 2 ** 30,
    maxChunks: undefined,
    highWatermark: 0.95,
    lowWatermark: 0.85,
    pinShare: 0.5,
    fsync: false,
    callTimeoutMs: 10_000,
    scrubIntervalMs: 30 * 24 * 3_600_000,
  });
  assert.deepEqual(settings.chunking, {
    sizeBytes: 8 * 2 ** 20,
    tiers: [
      { minObjectSizeBytes: 2 ** 30, chunkSizeBytes: 64 * 2 ** 20 },
      { minObjectSizeBytes: 10 * 2 ** 30, chunkSizeBytes: 128 * 2 ** 20 },
    ],
    fill: "sparse",
    readahead: 8,
  });
  assert.deepEqual(settings.metadata, {
    ttlMs: 300_000,
    negativeTtlMs: 60_000,
    maxEntries: 10_000,
    immutable: false,
    refreshAhead: 0,
    staleIfErrorMs: 0,
  });
  assert.deepEqual(settings.listCache, {
    ttlMs: 60_000,
    maxEntries: 1024,
    maxResponseBytes: 2 ** 20,
    maxBytes: 64 * 2 ** 20,
    maxRunning: 8,
  });
  assert.deepEqual(settings.cluster, {
    peers: [],
    service: undefined,
    membershipRefreshMs: 5000,
    internalListen: { host: "0.0.0.0", port: 8444 },
    bytesListen: undefined,
    advertise: undefined,
    selfPodIp: undefined,
    replicaId: undefined,
    zone: undefined,
    stallTimeoutMs: 5000,
    replication: 1,
    targetReplicas: 3,
    internalTls: {
      enabled: false,
      certFile: undefined,
      keyFile: undefined,
      caFile: undefined,
      serverName: undefined,
    },
  });
  assert.deepEqual(settings.logging, { level: "info", access: "off", slowRequestMs: 5000 });
});
