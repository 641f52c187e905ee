import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { OrcaError } from "../../src/base/orca-error.ts";
import { loadConfig, type SettingsTree } from "../../src/config/load.ts";

const folder = mkdtempSync(join(tmpdir(), "orca-apart-"));
after(() => rmSync(folder, { recursive: true }));

/** The paths of the faults of these settings, each with its message. */
function faultsOf(overrides: SettingsTree): string[] {
  try {
    loadConfig({ env: {}, overrides });
    return [];
  } catch (thrown) {
    assert.ok(thrown instanceof OrcaError && thrown.code === "config_invalid", String(thrown));
    return thrown.message
      .split("\n")
      .slice(1)
      .map((line) => line.trim());
  }
}

function sharesBucket(origin: SettingsTree, cachestore: SettingsTree, buckets?: SettingsTree): boolean {
  const faults = faultsOf({
    origin: { id: "o", awss3: { bucket: "data", ...origin }, buckets },
    cachestore: { driver: "s3", s3: { bucket: "data", ...cachestore } },
  });
  assert.ok(
    faults.length <= 1 && faults.every((line) => line.startsWith("cachestore.s3.bucket: ")),
    String(faults),
  );
  return faults.length === 1;
}

test("checkOriginsApart: a cachestore in the origin's bucket is a fault that names both", () => {
  const awss3 = { bucket: "data", endpoint: "http://s3.test:9000", use_path_style: true };
  assert.deepEqual(faultsOf({ origin: { id: "o", awss3 }, cachestore: { driver: "s3", s3: awss3 } }), [
    'cachestore.s3.bucket: expected a bucket that no origin has, got "data", which origin "o" serves as "data": Orca would write chunks between its objects. Give the cachestore a bucket of its own',
  ]);
});

test("checkOriginsApart: an endpoint may be spelled in many ways", () => {
  const spellings = [
    "http://s3.test",
    "http://s3.test/",
    "http://S3.Test:80//",
    "https://s3.test.",
    "https://s3.test:443",
  ];
  for (const left of spellings) {
    for (const right of spellings) {
      for (const use_path_style of [false, true]) {
        const shares = sharesBucket(
          { endpoint: left, use_path_style: true },
          { endpoint: right, use_path_style },
        );
        assert.equal(shares, true, `${left} ${right} ${use_path_style}`);
      }
    }
  }
  assert.equal(sharesBucket({ endpoint: "http://localhost:9" }, { endpoint: "http://127.0.0.1:9" }), true);
  assert.equal(sharesBucket({ endpoint: "http://s3.test/base" }, { endpoint: "http://s3.test/base/" }), true);
});

test("checkOriginsApart: the bucket in the endpoint's host is the bucket in the path", () => {
  const inHost = { endpoint: "http://data.s3.test:9000", bucket: "chunks", use_path_style: true };
  const inPath = { endpoint: "http://s3.test:9000", use_path_style: true };
  assert.equal(sharesBucket(inPath, inHost), true);
  assert.equal(sharesBucket(inHost, inPath), true);
});

test("checkOriginsApart: all endpoints of AWS have the same buckets", () => {
  const endpoints = [
    undefined,
    "https://s3.amazonaws.com",
    "https://s3.eu-central-1.amazonaws.com",
    "https://s3-eu-west-1.amazonaws.com",
    "https://s3.dualstack.us-west-2.amazonaws.com",
    "https://s3-fips.dualstack.us-east-1.amazonaws.com",
    "https://s3-accelerate.amazonaws.com",
    "https://data.s3.eu-central-1.amazonaws.com",
    "https://bucket.vpce-1a2b.s3.us-east-1.vpce.amazonaws.com",
  ];
  for (const endpoint of endpoints) {
    assert.equal(sharesBucket({}, { endpoint, region: "eu-west-3" }), true, String(endpoint));
    assert.equal(sharesBucket({ endpoint }, {}), true, String(endpoint));
  }
  const china = { endpoint: "https://s3.cn-north-1.amazonaws.com.cn" };
  assert.equal(sharesBucket({ region: "cn-northwest-1" }, china), true);
  assert.equal(sharesBucket({}, china), false);
});

test("checkOriginsApart: every bucket of every origin counts, under whatever name and prefix", () => {
  const buckets = { shown: { bucket: "other" }, logs: { bucket: "data", prefix: "logs/" } };
  assert.equal(sharesBucket({ bucket: "elsewhere" }, {}, buckets), true);
  assert.equal(sharesBucket({ bucket: "elsewhere" }, { bucket: "logs" }, buckets), false);
  const origins = [
    { id: "a", awss3: { bucket: "a" } },
    { id: "b", awss3: { bucket: "b" } },
  ];
  const [fault] = faultsOf({ origins, cachestore: { driver: "s3", s3: { bucket: "b" } } });
  assert.match(fault ?? "", /which origin "b" serves as "b"/);
});

function at(endpoint: string, more: SettingsTree = {}): SettingsTree {
  return { endpoint, use_path_style: true, ...more };
}

test("checkOriginsApart: another bucket, host, port or path is another place", () => {
  assert.equal(
    sharesBucket(at("http://s3.test:9000"), at("http://s3.test:9000", { bucket: "chunks" })),
    false,
  );
  assert.equal(sharesBucket(at("http://s3.test:9000"), at("http://s3.test:9001")), false);
  assert.equal(sharesBucket(at("http://a.test"), at("http://b.test")), false);
  assert.equal(sharesBucket(at("http://s3.test/a"), at("http://s3.test/b")), false);
  assert.equal(sharesBucket({}, at("http://s3.test")), false);
});

function posixfs(root: string): SettingsTree {
  return { cachestore: { driver: "posixfs", posixfs: { root } } };
}

function disk(root: string): SettingsTree {
  return { disk: { root } };
}

function directoryFaults(root: string, others: SettingsTree): string[] {
  return faultsOf({ origin: { id: "o", file: { root } }, ...others }).map((line) => line.split(":")[0] ?? "");
}

test("checkOriginsApart: no store lies inside or above a directory origin", () => {
  for (const root of ["/srv/data", "/srv/data/", "/srv/data/x/../y", "/srv"]) {
    assert.deepEqual(directoryFaults("/srv/data", disk(root)), ["disk.root"], root);
    assert.deepEqual(directoryFaults("/srv/data", posixfs(root)), ["cachestore.posixfs.root"], root);
  }
  for (const root of ["/srv/data-2", "/srv/dat", "/var/cache"]) {
    assert.deepEqual(directoryFaults("/srv/data", { ...disk(root), ...posixfs(root) }), [], root);
  }
});

test("checkOriginsApart: a symbolic link does not hide where a store lies", () => {
  const real = join(folder, "real");
  mkdirSync(real);
  symlinkSync(real, join(folder, "link"));
  assert.deepEqual(directoryFaults(real, { disk: { root: join(folder, "link", "not", "yet") } }), [
    "disk.root",
  ]);
  assert.deepEqual(directoryFaults(join(folder, "link"), { disk: { root: join(real, "cache") } }), [
    "disk.root",
  ]);
});
