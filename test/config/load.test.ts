import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { after, test } from "node:test";
import fc from "fast-check";
import { OrcaError } from "../../src/base/orca-error.ts";
import { type Config, treeOf } from "../../src/config/config.ts";
import { type ConfigSources, loadConfig, type SettingsTree } from "../../src/config/load.ts";
import { settingRows } from "../../src/config/schema.ts";
import { selfSignedCertificate } from "../support/certificate.ts";

const folder = mkdtempSync(join(tmpdir(), "orca-config-"));
after(() => rmSync(folder, { recursive: true }));

const origin = { id: "o", awss3: { bucket: "data" } };

function fileOf(name: string, text: string): string {
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
}

function load(overrides: SettingsTree, env: ConfigSources["env"] = {}): Config {
  return loadConfig({ env, overrides: { origin, ...overrides } });
}

/** The lines of faults, without the headline. */
function faultsOf(sources: ConfigSources): string[] {
  try {
    loadConfig(sources);
  } catch (thrown) {
    assert.ok(thrown instanceof OrcaError && thrown.code === "config_invalid", String(thrown));
    const [headline = "", ...lines] = thrown.message.split("\n");
    const count = lines.length === 1 ? "1 fault" : `${lines.length} faults`;
    assert.ok(headline.startsWith("Cannot use ") && headline.endsWith(`: ${count}`), headline);
    return lines.map((line) => line.trim());
  }
  return [];
}

function faultsIn(overrides: SettingsTree, env: ConfigSources["env"] = {}): string[] {
  return faultsOf({ env, overrides: { origin, ...overrides } });
}

function tlsFaults(tls: SettingsTree): string[] {
  return faultsIn({ server: { tls } });
}

test("loadConfig: a file of the Go Orca from before it had a cachestore loads", () => {
  const file = fileOf(
    "go.yaml",
    `server: { listen: ":8443", ops_listen: "0.0.0.0:8442", auth: { enabled: false, mode: bearer } }
origin:
  id: awss3-garage
  driver: awss3
  target_global: 192
  queue_timeout: 5s
  retry: { attempts: 3, backoff_initial: 100ms, backoff_max: 2s, max_total_duration: 5s }
  awss3: { bucket: orca-origin, endpoint: "http://garage:3900", region: garage, use_path_style: true }
  azureblob: { account: "", container: "", endpoint: "" }
cachestore: { driver: none, s3: { endpoint: "", bucket: "", region: garage, use_path_style: true } }
chunking: { size: 8MiB, tiers: [{ min_object_size: 1GiB, chunk_size: 64MiB }] }
metadata: { ttl: 5m, negative_ttl: 60s, max_entries: 10000 }
cluster:
  service: ""
  membership_refresh: 5s
  internal_listen: "0.0.0.0:8444"
  self_pod_ip: 10.0.0.7
  target_replicas: 3
  internal_tls: { enabled: true, cert_file: a, key_file: b, ca_file: c, server_name: orca }
logging: { level: info }
`,
  );
  const config = loadConfig({ file, env: {} });
  assert.deepEqual(config.server.listen, { host: "0.0.0.0", port: 8443 });
  assert.deepEqual(
    config.origins.map(({ id, driver }) => ({ id, driver })),
    [{ id: "awss3-garage", driver: "awss3" }],
  );
  assert.deepEqual(config.chunking.tiers, [
    { minObjectSizeBytes: 0, chunkSizeBytes: 8 * 2 ** 20 },
    { minObjectSizeBytes: 2 ** 30, chunkSizeBytes: 64 * 2 ** 20 },
  ]);
});

test("loadConfig: the command line wins over the environment, and that over the file", () => {
  const file = fileOf(
    "layers.yaml",
    "origin: {id: o, awss3: {bucket: data}}\nmetadata: {ttl: 1s, negative_ttl: 2s, max_entries: 3}\n",
  );
  const config = loadConfig({
    file,
    env: {
      ORCA_METADATA_TTL: "10s",
      ORCA_METADATA_NEGATIVE_TTL: "20s",
      ORCA_METADATA_MAX_ENTRIES: "",
      HOME: "/",
    },
    overrides: { metadata: { ttl: "100s" }, memory: undefined },
  });
  assert.deepEqual(config.metadata, {
    ttlMs: 100_000,
    negativeTtlMs: 20_000,
    maxEntries: 3,
    immutable: false,
    refreshAhead: 0,
    staleIfErrorMs: 0,
  });
});

test("loadConfig: variables name settings by their path, and lists and maps are YAML", () => {
  const config = load(
    {},
    {
      ORCA_LOG_LEVEL: "debug",
      ORCA_MEMORY_MAX_BYTES: "2GiB",
      ORCA_SERVER_AUTH_MODE: "sigv4, mtls",
      ORCA_CHUNKING_TIERS: "[{min_object_size: 1GiB, chunk_size: 16MiB}]",
      ORCA_ORIGIN_BUCKETS: "{logs: {prefix: logs/}}",
    },
  );
  assert.equal(config.logging.level, "debug");
  assert.equal(config.memory.maxBytes, 2 ** 31);
  assert.deepEqual(config.server.auth.mode, ["sigv4", "mtls"]);
  assert.deepEqual(config.chunking.tiers[1], { minObjectSizeBytes: 2 ** 30, chunkSizeBytes: 16 * 2 ** 20 });
  assert.deepEqual(config.origins[0]?.buckets.get("logs"), { bucket: "data", prefix: "logs/" });
});

test("loadConfig: a variable that names no setting is a fault, but for those of Kubernetes", () => {
  const env = {
    ORCA_MEMORY_MAXBYTES: "1GiB",
    ORCA_COMPRESSION: "1",
    ORCA_PORT: "tcp://10.0.0.1:8443",
    ORCA_SERVICE_HOST: "10.0.0.1",
    ORCA_SERVICE_PORT_HTTPS: "8443",
    ORCA_INTERNAL_PORT_8444_TCP_ADDR: "10.0.0.1",
  };
  assert.deepEqual(faultsIn({}, env), [
    "ORCA_MEMORY_MAXBYTES: unknown variable: no setting has this name; did you mean `ORCA_MEMORY_MAX_BYTES`?",
    "ORCA_COMPRESSION: unknown variable: no setting has this name",
  ]);
});

test("loadConfig: a fault names the variable that gave the value, and a setting is given by one", () => {
  assert.deepEqual(
    faultsIn({}, { ORCA_METADATA_TTL: "soon", ORCA_CLUSTER_PEERS: "[", ORCA_ORIGIN_BUCKETS: "x" }),
    [
      "ORCA_CLUSTER_PEERS: 1:2: Flow sequence must end with a ]",
      'origin.buckets (from ORCA_ORIGIN_BUCKETS): expected a map, got "x"',
      'metadata.ttl (from ORCA_METADATA_TTL): expected a duration such as 500ms or 5m, got "soon"',
    ],
  );
  assert.deepEqual(faultsIn({}, { ORCA_LOG_LEVEL: "info", ORCA_LOGGING_LEVEL: "warn" }), [
    "logging.level (from ORCA_LOGGING_LEVEL): set by both ORCA_LOG_LEVEL and ORCA_LOGGING_LEVEL: unset one of them",
  ]);
});

test("loadConfig: all faults are reported at once, each with its path and value", () => {
  const file = fileOf(
    "faulty.yaml",
    `orign: {}
origin: {id: a b, target_global: lots, awss3: {bucket: data, endpoint: "http://u:hush@h", secret_key: hush}}
server: {listen: "8443", drain_timeout: -5s, tls: {certfile: x}}
memory: {max_bytes: [1]}
disk: {root: /d, high_watermark: 0.5, low_watermark: 0.9}
`,
  );
  assert.deepEqual(faultsOf({ file, env: {} }), [
    "orign: unknown key; did you mean `origin`?",
    'server.listen: expected an address such as 0.0.0.0:8443 or [::1]:8443, got "8443"',
    "server.tls.certfile: unknown key; did you mean `cert_file`?",
    "server.tls.cert_file: required, but not set",
    "server.tls.key_file: required, but not set",
    'server.drain_timeout: expected a duration that is not negative, got "-5s"',
    'origin.id: expected 1 to 64 of the characters A-Z a-z 0-9 . _ -, got "a b"',
    'origin.target_global: expected a whole number 1 to 100000, got "lots"',
    "origin.awss3.secret_key: unknown key: a secret is set by ORCA_AWSS3_SECRET_KEY or ORCA_AWSS3_SECRET_KEY_FILE in the environment, not here",
    "origin.awss3.endpoint: expected an address without user, password, query or fragment, got one that has them",
    "memory.max_bytes: expected a single value, got a list",
    "disk.low_watermark: expected less than disk.high_watermark (0.5), got 0.9",
  ]);
});

function corsFaults(origins: readonly string[]): string[] {
  return faultsIn({ server: { cors: { origins } } });
}

test("loadConfig: an origin in server.cors.origins has at most one *, because no origin would match two", () => {
  const valid = ["*", "https://*", "http://*.example.com:8080", "https://a-*", "http://[::1]:3"];
  assert.deepEqual(corsFaults(valid), []);
  for (const given of ["https://*.*.example.com", "**", "https://", "https://a/b", "a.example.com"]) {
    assert.deepEqual(corsFaults([given]), [
      `server.cors.origins[0]: expected an origin such as https://app.example.com with at most one *, or *, got "${given}"`,
    ]);
  }
});

test("loadConfig: a file that is not there, not YAML, or not a map is a fault of its own", () => {
  assert.match(
    faultsOf({ file: join(folder, "none.yaml"), env: {} })[0] ?? "",
    /^cannot read the file: ENOENT/,
  );
  assert.match(faultsOf({ file: fileOf("syntax.yaml", "a: [1\nb: 2"), env: {} })[0] ?? "", /^2:1: /);
  assert.equal(faultsOf({ file: fileOf("list.yaml", "- a\n"), env: {} })[0], "expected a map, got a list");
});

test("loadConfig: an origin is required, and given in one way", () => {
  const required =
    "origin: required, but not set: set origin.id, origin.driver and the section of that driver";
  assert.deepEqual(faultsOf({ env: {} }), [required]);
  assert.deepEqual(faultsOf({ env: {}, overrides: { origin: {}, origins: [] } }), [required]);
  assert.deepEqual(faultsIn({ origins: [origin] }), [
    "origins: set together with origin: keep only one of the two",
  ]);
});

test("loadConfig: a bucket has settings of metadata for itself, alike under all of its names", () => {
  const metadata = { ttl: "10s", negative_ttl: "none", immutable: true, refresh_ahead: 0.2 };
  const buckets = { data: {}, logs: { prefix: "logs/", metadata }, "*": { metadata: { ttl: "1h" } } };
  const config = load({ origin: { ...origin, buckets } });
  const [{ buckets: loaded, otherBuckets } = assert.fail()] = config.origins;
  const own = { negativeTtlMs: 0, immutable: true, refreshAhead: 0.2, staleIfErrorMs: undefined };
  assert.deepEqual(loaded.get("logs"), {
    bucket: "data",
    prefix: "logs/",
    metadata: { ttlMs: 10_000, ...own },
  });
  assert.deepEqual(loaded.get("data"), { bucket: "data", prefix: "" });
  assert.equal(otherBuckets?.metadata?.ttlMs, 3_600_000);
  assert.deepEqual(loadConfig({ env: {}, overrides: treeOf(config) as SettingsTree }), config);
  const twice = { a: { prefix: "x" }, b: { prefix: "x", metadata: { immutable: true } } };
  assert.deepEqual(faultsIn({ origin: { ...origin, buckets: twice } }), [
    'origin.buckets.b.metadata: expected the same as of "a", which is the same place',
  ]);
  const wrong = { a: { metadata: { refresh_ahead: 0.6, ttl: "0s" } } };
  assert.deepEqual(faultsIn({ origin: { ...origin, buckets: wrong } }), [
    'origin.buckets.a.metadata.ttl: expected a duration above 0, or none to ask the origin each time, got "0s"; leave it out for the default, that of metadata',
    'origin.buckets.a.metadata.refresh_ahead: expected a number 0 to 0.5, got "0.6"',
  ]);
});

test("loadConfig: origins with one entry is the same as origin", () => {
  assert.deepEqual(loadConfig({ env: {}, overrides: { origins: [origin] } }), load({}));
});

test("loadConfig: ids, and bucket names over all origins, are unique", () => {
  const origins = [
    origin,
    { id: "p", driver: "file", file: { root: "/srv/data" } },
    { ...origin, buckets: { x: {} } },
  ];
  assert.deepEqual(faultsOf({ env: {}, overrides: { origins } }), [
    'origins[1].buckets: expected a name of its own, got "data", which origins[0].buckets has',
    'origins[2].id: expected a name of its own, got "o", which origins[0].id has',
  ]);
});

test("loadConfig: each driver needs its own section, and carries no other", () => {
  assert.deepEqual(faultsIn({ origin: { id: "o" } }), [
    "origin.awss3.bucket: required, because origin.driver is awss3",
  ]);
  assert.deepEqual(faultsIn({ origin: { id: "o", awss3: { region: "eu-central-1" } } }), [
    "origin.awss3.bucket: required, because origin.buckets names none",
  ]);
  assert.deepEqual(faultsIn({ origin: { id: "o", driver: "azureblob" } }), [
    "origin.azureblob.account: required, because origin.driver is azureblob",
  ]);
  assert.deepEqual(faultsIn({ origin: { id: "o", driver: "file" } }), [
    "origin.file.root: required, because origin.driver is file",
  ]);
  const [file] = load({ origin: { id: "o", driver: "file", file: { root: "/srv/data" } } }).origins;
  assert.ok(file && !("awss3" in file) && !("azureblob" in file));
});

test("loadConfig: buckets lie in the configured bucket or in their own, below a prefix", () => {
  const buckets = { all: null, logs: { prefix: "logs/" }, other: { bucket: "elsewhere" } };
  assert.deepEqual(
    load({ origin: { ...origin, buckets } }).origins[0]?.buckets,
    new Map([
      ["all", { bucket: "data", prefix: "" }],
      ["logs", { bucket: "data", prefix: "logs/" }],
      ["other", { bucket: "elsewhere", prefix: "" }],
    ]),
  );
});

test("loadConfig: a bucket that lies nowhere, or that no URL can name, is a fault", () => {
  assert.deepEqual(
    faultsIn({
      origin: {
        id: "o",
        awss3: { region: "x" },
        buckets: { a: {}, "b/c": { bucket: "x" }, "..": { bucket: "x" } },
      },
    }),
    [
      "origin.buckets.a.bucket: required, because origin.awss3.bucket names none",
      'origin.buckets["b/c"]: expected a bucket name of 1 to 255 of the characters A-Z a-z 0-9 . _ - $, got "b/c"',
      'origin.buckets[".."]: expected a bucket name of 1 to 255 of the characters A-Z a-z 0-9 . _ - $, got ".."',
    ],
  );
  const directory = { id: "o", driver: "file", file: { root: "/srv/my data" } };
  assert.match(faultsIn({ origin: directory })[0] ?? "", /give it another name in origin\.buckets$/);
  assert.deepEqual(faultsIn({ origin: { ...directory, buckets: { mine: {} } } }), []);
  assert.deepEqual(faultsIn({ origin: { ...directory, buckets: { mine: { bucket: "other" } } } }), [
    'origin.buckets.mine.bucket: expected "my data", the only bucket of origin.file.root, got "other": leave it out',
  ]);
});

test('loadConfig: "*" is every other bucket, and needs no bucket of the driver', () => {
  const settings = {
    id: "o",
    awss3: { region: "x" },
    buckets: { "*": { prefix: "pub/" }, a: { bucket: "b" } },
  };
  const [loaded] = loadConfig({ env: {}, overrides: { origin: settings } }).origins;
  assert.deepEqual(loaded?.otherBuckets, { prefix: "pub/" });
  assert.deepEqual([...(loaded?.buckets ?? [])], [["a", { bucket: "b", prefix: "" }]]);
  const plain = loadConfig({ env: {}, overrides: { origin: { id: "o", awss3: { bucket: "b" } } } });
  assert.equal(plain.origins[0]?.otherBuckets, undefined);
});

function withStar(id: string, star: object): SettingsTree {
  return { id, awss3: { region: "x" }, buckets: { "*": star } };
}

test('loadConfig: "*" has no bucket of its own, and one origin alone can have it', () => {
  assert.deepEqual(faultsIn({ origin: withStar("o", { bucket: "b" }) }), [
    'origin.buckets["*"].bucket: expected none, got "b": "*" serves each bucket under its own name',
  ]);
  assert.deepEqual(faultsIn({ origin: undefined, origins: [withStar("o", {}), withStar("p", {})] }), [
    'origins[1].buckets: expected a name of its own, got "*", which origins[0].buckets has',
  ]);
});

function directoryWith(buckets: object): SettingsTree {
  return { origin: { id: "o", driver: "file", file: { root: "/srv/my data" }, buckets } };
}

test('loadConfig: with "*" a directory is one of directories, which the names of buckets do not leave', () => {
  assert.deepEqual(faultsIn(directoryWith({ "*": {} })), []);
  assert.deepEqual(faultsIn(directoryWith({ "*": {}, a: { bucket: "one" } })), []);
  assert.deepEqual(faultsIn(directoryWith({ "*": {}, a: {}, b: { bucket: "../x" } })), [
    "origin.buckets.a.bucket: required, because origin.file.root names none",
    'origin.buckets.b.bucket: expected a bucket name of 1 to 255 of the characters A-Z a-z 0-9 . _ - $, got "../x"',
  ]);
});

test("loadConfig: memory and disk have room for two of the largest chunks", () => {
  assert.deepEqual(
    faultsIn({ memory: { max_bytes: "256MiB" }, disk: { root: "/d", max_bytes: "256MiB" } }),
    [],
  );
  const tail = "twice the largest chunk (chunking.size, chunking.tiers)";
  assert.deepEqual(faultsIn({ memory: { max_bytes: "255MiB" }, disk: { root: "/d", max_bytes: "1KiB" } }), [
    `memory.max_bytes: expected at least 256 MiB, ${tail}, got 255 MiB`,
    `disk.max_bytes: expected at least 256 MiB, ${tail}, got 1 KiB`,
  ]);
  assert.deepEqual(faultsIn({ memory: { max_bytes: "16MiB" }, chunking: { tiers: [] } }), []);
});

test("loadConfig: tiers ascend, and their chunks are whole MiB", () => {
  const tiers = [
    { min_object_size: "2GiB", chunk_size: "1500KiB" },
    { min_object_size: "2GiB", chunk_size: "2GiB" },
    { chunk_size: "8MiB" },
  ];
  assert.deepEqual(faultsIn({ chunking: { size: "512KiB", tiers } }), [
    'chunking.size: expected a size 1MiB to 1GiB, got "512KiB"',
    'chunking.tiers[0].chunk_size: expected a multiple of 1MiB, got "1500KiB"',
    'chunking.tiers[1].chunk_size: expected a size 1MiB to 1GiB, got "2GiB"',
    "chunking.tiers[2].min_object_size: required, but not set",
    "chunking.tiers[1].min_object_size: expected more than the 2 GiB of the tier before, got 2 GiB",
  ]);
});

test("loadConfig: the listeners have addresses of their own", () => {
  const server = { listen: "127.0.0.1:1", ops_listen: "127.0.0.1:1" };
  assert.deepEqual(faultsIn({ server }), [
    'server.ops_listen: expected an address of its own, got "127.0.0.1:1", which server.listen has: choose another port',
  ]);
  assert.deepEqual(faultsIn({ server: { listen: "127.0.0.1:0", ops_listen: "127.0.0.1:0" } }), []);
  const cluster = { internal_listen: "0.0.0.0:8442" };
  assert.deepEqual(faultsIn({ cluster }), []);
  assert.deepEqual(
    faultsIn({ cluster: { ...cluster, peers: ["http://a:1"], internal_tls: { enabled: false } } }),
    [
      'cluster.internal_listen: expected an address of its own, got "0.0.0.0:8442", which server.ops_listen has: choose another port',
    ],
  );
});

test("loadConfig: TLS files are there, are certificates, and belong together", () => {
  const [one, other] = [selfSignedCertificate(), selfSignedCertificate()];
  const cert = fileOf("cert.pem", one.cert);
  const key = fileOf("key.pem", one.key);
  const wrongKey = fileOf("wrong-key.pem", other.key);
  const noPem = fileOf("no.pem", "nothing\n");
  assert.deepEqual(tlsFaults({ cert_file: cert, key_file: key, client_ca_file: cert }), []);
  assert.deepEqual(tlsFaults({ cert_file: cert }), ["server.tls.key_file: required, but not set"]);
  assert.match(
    tlsFaults({ cert_file: cert, key_file: "/none/key.pem" })[0] ?? "",
    /^server\.tls\.key_file: cannot read "\/none\/key\.pem": ENOENT/,
  );
  const relative = tlsFaults({ cert_file: cert, key_file: "none/key.pem" })[0] ?? "";
  assert.ok(
    relative.startsWith(
      `server.tls.key_file: cannot read "none/key.pem", here "${resolve("none/key.pem")}": ENOENT`,
    ),
    relative,
  );
  assert.match(
    tlsFaults({ cert_file: cert, key_file: wrongKey })[0] ?? "",
    /^server\.tls: cannot use certificate ".*" with key ".*": /,
  );
  assert.match(
    tlsFaults({ cert_file: noPem, key_file: key })[0] ?? "",
    /^server\.tls: cannot use certificate ".*" with key ".*": /,
  );
  assert.match(
    tlsFaults({ cert_file: cert, key_file: key, client_ca_file: noPem })[0] ?? "",
    /^server\.tls\.client_ca_file: expected a file of PEM certificates, but ".*" holds none$/,
  );
});

test("loadConfig: the cachestore that is chosen says where it is", () => {
  assert.deepEqual(faultsIn({ cachestore: { driver: "s3" } }), [
    "cachestore.s3.bucket: required, because cachestore.driver is s3",
  ]);
  assert.deepEqual(faultsIn({ cachestore: { driver: "posixfs", s3: { bucket: "b" } } }), [
    "cachestore.s3: expected an empty section, because cachestore.driver is posixfs; did you mean driver: s3?",
    "cachestore.posixfs.root: required, because cachestore.driver is posixfs",
  ]);
  assert.deepEqual(faultsIn({ cachestore: { driver: "s3", s3: { bucket: "b" } } }), []);
});

test("loadConfig: copies need disks, and no store that all share", () => {
  const cluster = { replication: 2 };
  const disk = { root: "/srv/orca", max_bytes: "1 GiB" };
  assert.deepEqual(faultsIn({ cluster, disk }), []);
  assert.deepEqual(faultsIn({ cluster }), [
    "cluster.replication: expected 1, because copies need a disk and disk.root is not set, got 2",
  ]);
  assert.deepEqual(
    faultsIn({ cluster, disk, cachestore: { driver: "posixfs", posixfs: { root: "/srv/shared" } } }),
    [
      "cluster.replication: expected 1, because cachestore.driver is posixfs and keeps each chunk for all replicas, got 2",
    ],
  );
});

test("loadConfig: secrets are in Config, and in nothing that shows it", () => {
  const config = load({}, { ORCA_AWSS3_ACCESS_KEY: "id", ORCA_AWSS3_SECRET_KEY: "hush" });
  assert.equal(config.secrets.awss3SecretKey?.reveal(), "hush");
  assert.doesNotMatch(JSON.stringify(config), /hush/);
  assert.doesNotMatch(JSON.stringify(treeOf(config)), /hush|secret/);
});

test("treeOf: loads as the same configuration", () => {
  const several = {
    origins: [origin, { id: "p", driver: "file", file: { root: "/srv/x" }, queue_timeout: "1500ms" }],
  };
  const trees = [
    { origin },
    several,
    { origin: { id: "a", driver: "azureblob", azureblob: { account: "acc", container: "$web" } } },
    {
      origin,
      cluster: {
        peers: ["http://a:1", "http://[::1]:2"],
        internal_tls: { enabled: false },
        zone: "z",
        stall_timeout: "700ms",
      },
    },
    {
      origin,
      cluster: {
        internal_tls: { enabled: true, cert_file: "c", key_file: "k", ca_file: "a", server_name: "orca" },
      },
    },
    {
      origin,
      disk: { root: "/d", max_bytes: 10_000_000_000 },
      chunking: { tiers: [] },
      server: { listen: "[::1]:0" },
    },
  ];
  for (const overrides of trees) {
    const config = loadConfig({ env: {}, overrides });
    assert.deepEqual(loadConfig({ env: {}, overrides: treeOf(config) as SettingsTree }), config);
  }
});

test("loadConfig: any tree is a Config or an OrcaError that lists its faults", () => {
  const keys = new Set(settingRows().flatMap(({ path }) => path.split(/\.|\[\]\.?/)));
  const key = fc.oneof(fc.constantFrom(...keys, "__proto__", "constructor", "toString"), fc.string());
  const { tree } = fc.letrec<{ tree: unknown }>((tie) => ({
    tree: fc.oneof(
      { depthSize: "medium" },
      fc.anything({ maxDepth: 1 }),
      fc.constantFrom("8MiB", "5s", "-1s", "0", "1", "true", "file", "http://h", ":1", ""),
      fc.array(tie("tree"), { maxLength: 3 }),
      fc.dictionary(key, tie("tree"), { maxKeys: 6 }),
    ),
  }));
  fc.assert(
    fc.property(tree, fc.boolean(), (garbage, withOrigin) => {
      const overrides = (
        withOrigin ? { origin, memory: garbage, chunking: garbage, disk: garbage } : garbage
      ) as SettingsTree;
      assert.ok(Array.isArray(faultsOf({ env: {}, overrides })));
    }),
    { numRuns: 2000 },
  );
});

test("loadConfig: any value of any one setting is a Config or an OrcaError", () => {
  const paths = settingRows()
    .map(({ path }) => path.replaceAll("<name>", "n").split(/\.|(?=\[\])/))
    .filter((path) => !path.includes("[]"));
  fc.assert(
    fc.property(fc.constantFrom(...paths), fc.anything(), (path, value) => {
      const branch = path.reduceRight<unknown>((inner, key) => ({ [key]: inner }), value);
      assert.ok(Array.isArray(faultsOf({ env: {}, overrides: branch as SettingsTree })));
    }),
    { numRuns: 2000 },
  );
});
