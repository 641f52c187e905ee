/**
 * A configuration file of the Orca written in Go. Each remark of fixtures/go-orca.yaml is a test: a key means here what it
 * meant there, or the start fails and the fault names the key.
 */
import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { parse, stringify } from "yaml";
import { OrcaError } from "../../src/base/orca-error.ts";
import { GiB, MiB } from "../../src/base/units.ts";
import { type Config, treeOf } from "../../src/config/config.ts";
import { loadConfig, type SettingsTree } from "../../src/config/load.ts";
import type { Environment } from "../../src/config/secret.ts";

const folder = mkdtempSync(join(tmpdir(), "orca-go-file-"));
after(() => rmSync(folder, { recursive: true }));

const goFile = join(import.meta.dirname, "fixtures", "go-orca.yaml");
const goText = readFileSync(goFile, "utf8");

/** The fixture with other values by path; undefined deletes a key. Resolves with what a start would read. */
function load(changes: Readonly<Record<string, unknown>> = {}, env: Environment = {}): Config {
  const tree = parse(goText) as Record<string, unknown>;
  for (const [path, value] of Object.entries(changes)) set(tree, path.split("."), value);
  const file = join(folder, "orca.yaml");
  writeFileSync(file, stringify(tree));
  return loadConfig({ file, env });
}

function set(tree: Record<string, unknown>, [key = "", ...rest]: readonly string[], value: unknown): void {
  if (rest.length > 0) set((tree[key] ??= {}) as Record<string, unknown>, rest, value);
  else if (value === undefined) delete tree[key];
  else tree[key] = value;
}

function faults(changes: Readonly<Record<string, unknown>>, env: Environment = {}): string[] {
  try {
    load(changes, env);
  } catch (thrown) {
    assert.ok(thrown instanceof OrcaError && thrown.code === "config_invalid", String(thrown));
    const [, ...lines] = thrown.message.split("\n");
    return lines.map((line) => line.trim());
  }
  return [];
}

test("Go file: every key is read, and means what it meant", () => {
  const config = loadConfig({ file: goFile, env: {} });
  assert.deepEqual(config.server.listen, { host: "0.0.0.0", port: 8443 });
  assert.deepEqual(config.server.opsListen, { host: "0.0.0.0", port: 8442 });
  const [origin] = config.origins;
  assert.ok(origin?.driver === "awss3");
  assert.equal(origin.id, "awss3-prod");
  assert.equal(origin.targetGlobal, 192);
  assert.equal(origin.queueTimeoutMs, 5000);
  assert.deepEqual(origin.retry, {
    attempts: 3,
    backoffInitialMs: 100,
    backoffMaxMs: 2000,
    maxTotalDurationMs: 5000,
  });
  assert.deepEqual(origin.awss3, {
    bucket: "models",
    endpoint: undefined,
    region: "us-east-1",
    usePathStyle: false,
    bucketOwner: undefined,
    requestPayer: false,
  });
  assert.equal(config.cachestore.driver, "s3");
  assert.equal(config.cachestore.s3?.bucket, "orca-cache");
  assert.equal(config.cachestore.s3?.endpoint, "http://rgw.internal:7480");
  assert.equal(config.cachestore.s3?.usePathStyle, true);
  assert.equal(config.cluster.service, "orca-peers.orca.svc.cluster.local");
  assert.equal(config.cluster.selfPodIp, undefined);
  assert.equal(config.cluster.membershipRefreshMs, 5000);
  assert.deepEqual(config.cluster.internalListen, { host: "0.0.0.0", port: 8444 });
  assert.equal(config.cluster.internalTls, undefined);
  assert.equal(config.cluster.targetReplicas, 3);
  assert.equal(config.metadata.ttlMs, 300_000);
  assert.equal(config.metadata.negativeTtlMs, 60_000);
  assert.equal(config.metadata.maxEntries, 10_000);
  assert.deepEqual(config.chunking, {
    tiers: [
      { minObjectSizeBytes: 0, chunkSizeBytes: 8 * MiB },
      { minObjectSizeBytes: GiB, chunkSizeBytes: 64 * MiB },
      { minObjectSizeBytes: 10 * GiB, chunkSizeBytes: 128 * MiB },
    ],
    fill: "sparse",
    readahead: 8,
  });
  assert.equal(config.logging.level, "info");
  assert.deepEqual(loadConfig({ env: {}, overrides: treeOf(config) as SettingsTree }), config);
});

test("Go file: authentication without keys stops the start", () => {
  assert.match(faults({ "server.auth.enabled": true })[0] ?? "", /^server\.auth\.access_keys_file: required/);
  assert.deepEqual(faults({ "server.auth.mode": "bearer" }), []);
});

test("Go file: without origin.driver, the section that is filled in says the driver", () => {
  const azureblob = { account: "acme", container: "models" };
  const [azure] = load({
    "origin.driver": undefined,
    "origin.awss3": {},
    "origin.azureblob": azureblob,
  }).origins;
  assert.deepEqual(azure?.driver === "azureblob" && azure.azureblob, { ...azureblob, endpoint: undefined });
  const regionOnly = { bucket: "", region: "us-east-1", use_path_style: false };
  const empty = load({ "origin.driver": "", "origin.awss3": regionOnly, "origin.azureblob": azureblob });
  assert.equal(empty.origins[0]?.driver, "azureblob");
  assert.equal(load({ "origin.driver": undefined }).origins[0]?.driver, "awss3");
  const both = { "origin.driver": undefined, "origin.azureblob": azureblob };
  const required =
    "origin.driver: required, because origin.awss3 and origin.azureblob are both filled in: name one of them, and empty the other";
  assert.deepEqual(faults(both), [required]);
  const list = {
    origin: undefined,
    origins: [
      { id: "a", azureblob },
      { id: "b", azureblob: { ...azureblob, container: "other" }, file: { root: "/srv" } },
    ],
  };
  assert.deepEqual(faults(list), [
    required
      .replace("origin.awss3 and origin.azureblob", "origins[1].azureblob and origins[1].file")
      .replace(/^origin/, "origins[1]"),
  ]);
});

test("Go file: target_global is at least cluster.target_replicas", () => {
  assert.deepEqual(faults({ "origin.target_global": 3 }), []);
  assert.deepEqual(faults({ "origin.target_global": 2 }), [
    "origin.target_global: expected at least cluster.target_replicas (3), got 2",
  ]);
  assert.deepEqual(faults({ "cluster.target_replicas": 193 }), [
    "origin.target_global: expected at least cluster.target_replicas (193), got 192",
  ]);
});

test("Go file: a section of another driver is empty, or a fault", () => {
  assert.deepEqual(faults({ "origin.file": { root: "" }, "cachestore.posixfs": null }), []);
  assert.deepEqual(faults({ "origin.azureblob": { account: "acme" } }), [
    "origin.azureblob: expected an empty section, because origin.driver is awss3; did you mean driver: azureblob?",
  ]);
  assert.deepEqual(faults({ "cachestore.driver": "none" }), [
    "cachestore.s3: expected an empty section, because cachestore.driver is none; did you mean driver: s3?",
  ]);
  assert.deepEqual(faults({ "cachestore.driver": "posixfs", "cachestore.posixfs.root": "/srv" }), [
    "cachestore.s3: expected an empty section, because cachestore.driver is posixfs; did you mean driver: s3?",
  ]);
  const empty = { endpoint: "", bucket: "", region: "garage", use_path_style: true };
  const config = load({ "cachestore.driver": "none", "cachestore.s3": empty });
  assert.deepEqual(loadConfig({ env: {}, overrides: treeOf(config) as SettingsTree }), config);
});

test("Go file: a cachestore without a driver does not start without its store", () => {
  for (const driver of [undefined, ""]) {
    assert.deepEqual(faults({ "cachestore.driver": driver }), [
      "cachestore.driver: required, because cachestore.s3 is filled in; did you mean driver: s3?",
    ]);
  }
  assert.equal(load({ cachestore: {} }).cachestore.driver, "none");
});

test("Go file: the pod's address is POD_IP where the file leaves it empty", () => {
  const env = { POD_IP: "10.0.0.7" };
  assert.equal(load({}, env).cluster.selfPodIp, "10.0.0.7");
  assert.equal(load({ "cluster.self_pod_ip": undefined }, env).cluster.selfPodIp, "10.0.0.7");
  assert.equal(load({ "cluster.self_pod_ip": "10.0.0.8" }, env).cluster.selfPodIp, "10.0.0.8");
  const own = { ...env, ORCA_CLUSTER_SELF_POD_IP: "10.0.0.9" };
  assert.equal(load({ "cluster.self_pod_ip": "10.0.0.8" }, own).cluster.selfPodIp, "10.0.0.9");
  assert.equal(load({}, { POD_IP: " " }).cluster.selfPodIp, undefined);
  assert.deepEqual(faults({}, { POD_IP: "pod-7" }), [
    'cluster.self_pod_ip (from POD_IP): expected an IP address such as 10.0.0.7, got "pod-7"',
  ]);
});

test("Go file: chunk_catalog.max_entries is cachestore.max_hints", () => {
  assert.equal(load({ "chunk_catalog.max_entries": 7000 }).cachestore.maxHints, 7000);
  assert.equal(load({ "chunk_catalog.max_entries": 0 }).cachestore.maxHints, 100_000);
  assert.equal(load({ chunk_catalog: undefined, "cachestore.max_hints": 5 }).cachestore.maxHints, 5);
  assert.deepEqual(faults({ "cachestore.max_hints": 5 }), [
    "chunk_catalog.max_entries: set together with cachestore.max_hints, which means the same: keep only one of the two",
  ]);
  assert.match(
    faults({ "chunk_catalog.max_entries": -1 })[0] ?? "",
    /^chunk_catalog\.max_entries: expected a whole/,
  );
  assert.deepEqual(faults({ "chunk_catalog.max_entrys": 1 }), [
    "chunk_catalog.max_entrys: unknown key; did you mean `max_entries`?",
  ]);
});

test("Go file: sizes are numbers, or units with or without a blank", () => {
  for (const size of [8_388_608, "8388608", "8 MiB", "8MiB", "8mib", " 8 MiB "]) {
    assert.equal(load({ "chunking.size": size }).chunking.tiers[0]?.chunkSizeBytes, 8 * MiB, String(size));
  }
  const tiers = [{ min_object_size: "1.5 GiB", chunk_size: "64 MiB" }];
  assert.equal(load({ "chunking.tiers": tiers }).chunking.tiers[1]?.minObjectSizeBytes, 1.5 * GiB);
  // A chunk file has a checksum for each MiB, and a chunk is held in memory whole.
  assert.deepEqual(faults({ "chunking.size": "8 MB" }), [
    'chunking.size: expected a multiple of 1MiB, got "8 MB"',
  ]);
  assert.deepEqual(faults({ "chunking.size": "1.5 GiB" }), [
    'chunking.size: expected a size 1MiB to 1GiB, got "1.5 GiB"',
  ]);
  assert.deepEqual(faults({ "chunking.size": "1023KiB" }), [
    'chunking.size: expected a size 1MiB to 1GiB, got "1023KiB"',
  ]);
});

test("Go file: tiers and readahead are off where they are empty, and not where they are left out", () => {
  assert.equal(load({ "chunking.tiers": undefined }).chunking.tiers.length, 3);
  assert.equal(load({ "chunking.tiers": [] }).chunking.tiers.length, 1);
  assert.equal(load({ "chunking.readahead": 0 }).chunking.readahead, 0);
  assert.equal(load({ "chunking.readahead": undefined }).chunking.readahead, 8);
});

test("Go file: a log level may have blanks, capitals, and the name warning", () => {
  for (const [given, level] of [
    ["debug", "debug"],
    ["INFO", "info"],
    [" Warn ", "warn"],
    ["warning", "warn"],
    ["WARNING", "warn"],
    ["error\t", "error"],
    [" ", "info"],
  ] as const) {
    assert.equal(load({ "logging.level": given }).logging.level, level, JSON.stringify(given));
    assert.equal(load({}, { ORCA_LOG_LEVEL: given }).logging.level, level, JSON.stringify(given));
  }
  assert.equal(load({ "logging.level": "error" }, { ORCA_LOG_LEVEL: "debug" }).logging.level, "debug");
  assert.equal(load({ "logging.level": "error" }, { ORCA_LOG_LEVEL: "  " }).logging.level, "error");
  assert.deepEqual(faults({ "logging.level": "loud" }), [
    'logging.level: expected one of debug, info, warn, error, got "loud"',
  ]);
});

test("Go file: zero and empty are the default of a key", () => {
  const expected = loadConfig({ file: goFile, env: {} });
  const keys = {
    "origin.target_global": 0,
    "origin.queue_timeout": 0,
    "origin.retry.attempts": 0,
    "origin.retry.backoff_initial": "0s",
    "origin.retry.backoff_max": "0",
    "origin.retry.max_total_duration": "0ms",
    "cluster.membership_refresh": "0s",
    "cluster.target_replicas": 0,
    "chunk_catalog.max_entries": 0,
    "metadata.max_entries": 0,
    "chunking.size": 0,
  };
  assert.deepEqual(load(keys), expected);
  const emptyKeys = [...Object.keys(keys), "metadata.ttl", "metadata.negative_ttl", "logging.level"];
  for (const empty of ["", null, undefined]) {
    assert.deepEqual(load(Object.fromEntries(emptyKeys.map((path) => [path, empty]))), expected);
  }
  assert.deepEqual(load({ "origin.retry": {}, metadata: null, server: undefined }), expected);
  const listeners = { "server.listen": "", "server.ops_listen": "", "cluster.internal_listen": "" };
  assert.deepEqual(load(listeners), expected);
});

test("Go file: a lifetime of zero is refused, because it reads as never where it meant the default", () => {
  assert.deepEqual(faults({ "metadata.ttl": 0, "metadata.negative_ttl": "0s" }), [
    'metadata.ttl: expected a duration above 0, or none to ask the origin each time, got "0"; leave it out for the default, 5m',
    'metadata.negative_ttl: expected a duration above 0, or none to ask the origin each time, got "0s"; leave it out for the default, 60s',
  ]);
  const config = load({ "metadata.ttl": "none", "metadata.negative_ttl": "none" });
  assert.deepEqual([config.metadata.ttlMs, config.metadata.negativeTtlMs], [0, 0]);
});

function hint(variable: string): string {
  return `unknown key: a secret is set by ${variable} or ${variable}_FILE in the environment, not here`;
}

test("Go file: a secret in the file is a fault that names its variable, and an empty one is none", () => {
  const keys = {
    "origin.awss3.access_key": "id",
    "origin.awss3.secret_key": "hush",
    "origin.azureblob.account_key": "hush",
    "cachestore.s3.access_key": "id",
    "cachestore.s3.secret_key": "hush",
  };
  assert.deepEqual(load(Object.fromEntries(Object.keys(keys).map((path) => [path, ""]))), load());
  const found = faults(keys);
  assert.deepEqual(
    found.filter((line) => line.includes("unknown key")),
    [
      `origin.awss3.access_key: ${hint("ORCA_AWSS3_ACCESS_KEY")}`,
      `origin.awss3.secret_key: ${hint("ORCA_AWSS3_SECRET_KEY")}`,
      `origin.azureblob.account_key: ${hint("ORCA_AZUREBLOB_ACCOUNT_KEY")}`,
      `cachestore.s3.access_key: ${hint("ORCA_CACHESTORE_S3_ACCESS_KEY")}`,
      `cachestore.s3.secret_key: ${hint("ORCA_CACHESTORE_S3_SECRET_KEY")}`,
    ],
  );
  assert.doesNotMatch(found.join("\n"), /hush/);
});
