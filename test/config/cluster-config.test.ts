import assert from "node:assert/strict";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { OrcaError } from "../../src/base/orca-error.ts";
import type { ClusterConfig } from "../../src/config/cluster-config.ts";
import { loadConfig, type SettingsTree } from "../../src/config/load.ts";
import { type CertificateFiles, ClusterCertificates } from "../support/cluster-certificates.ts";

let certificates: ClusterCertificates;
let files: CertificateFiles;
before(async () => {
  certificates = await ClusterCertificates.create();
  files = await certificates.files("a");
});
after(() => certificates.remove());

const origin = { id: "o", awss3: { bucket: "data" } };

/** On loopback, where a mesh may be without TLS. */
function clusterOf(settings: SettingsTree, env: Record<string, string> = {}): ClusterConfig {
  const cluster = { internal_listen: "127.0.0.1:8444", ...settings };
  return loadConfig({ env, overrides: { origin, cluster, disk: { root: "/d" } } }).cluster;
}

function faultsIn(cluster: SettingsTree, env: Record<string, string> = {}): string[] {
  try {
    clusterOf(cluster, env);
  } catch (thrown) {
    assert.ok(thrown instanceof OrcaError && thrown.code === "config_invalid", String(thrown));
    const [, ...lines] = thrown.message.split("\n");
    return lines.map((line) => line.trim());
  }
  return [];
}

function tls(fields: SettingsTree = {}): SettingsTree {
  return {
    enabled: true,
    cert_file: files.certFile,
    key_file: files.keyFile,
    ca_file: files.caFile,
    server_name: "orca.internal",
    ...fields,
  };
}

test("clusterConfig: without peers and service it is a cluster of one", () => {
  const cluster = clusterOf({});
  assert.equal(cluster.clustered, false);
  assert.deepEqual(cluster.peers, []);
  assert.equal(cluster.internalTls, undefined);
  assert.equal(cluster.stallTimeoutMs, 5000);
});

test("clusterConfig: peers are host and port, from the file as from the environment", () => {
  const peers = ["http://a:8444", "http://[fd00::1]:8444/"];
  const expected = ["a:8444", "[fd00::1]:8444"];
  const fromFile = clusterOf({ peers });
  assert.deepEqual(fromFile.peers, expected);
  assert.equal(fromFile.clustered, true);
  assert.deepEqual(clusterOf({}, { ORCA_CLUSTER_PEERS: peers.join(", ") }).peers, expected);
  assert.deepEqual(clusterOf({}, { ORCA_CLUSTER_PEERS: `["${peers.join('", "')}"]` }).peers, expected);
});

test("clusterConfig: a service alone makes a cluster, at a port that is known", () => {
  const cluster = clusterOf({
    service: "orca.default.svc",
    self_pod_ip: "10.0.0.7",
    membership_refresh: "1s",
  });
  assert.equal(cluster.clustered, true);
  assert.equal(cluster.service, "orca.default.svc");
  assert.equal(cluster.selfPodIp, "10.0.0.7");
  assert.equal(cluster.membershipRefreshMs, 1000);
  assert.deepEqual(faultsIn({ service: "orca", internal_listen: "127.0.0.1:0" }), [
    "cluster.internal_listen: expected a port other than 0, because replicas found by cluster.service are contacted at this port",
  ]);
  assert.deepEqual(faultsIn({ peers: ["http://a:1"], internal_listen: "127.0.0.1:0" }), []);
});

test("clusterConfig: TLS is whole or not at all", () => {
  const peers = ["https://a:8444"];
  assert.deepEqual(clusterOf({ peers, internal_tls: tls() }).internalTls, {
    ...files,
    serverName: "orca.internal",
  });
  assert.equal(
    clusterOf({ peers: ["http://a:1"], internal_tls: tls({ enabled: false }) }).internalTls,
    undefined,
  );
  const required = "required, because cluster.internal_tls.enabled is true";
  assert.deepEqual(faultsIn({ peers, internal_tls: { enabled: true } }), [
    `cluster.internal_tls.cert_file: ${required}`,
    `cluster.internal_tls.key_file: ${required}`,
    `cluster.internal_tls.ca_file: ${required}`,
    `cluster.internal_tls.server_name: ${required}`,
  ]);
  assert.deepEqual(faultsIn({ service: "orca", internal_tls: tls({ ca_file: "" }) }), [
    `cluster.internal_tls.ca_file: ${required}`,
  ]);
});

test("clusterConfig: the scheme of a peer is what will be spoken to it", () => {
  assert.deepEqual(faultsIn({ peers: ["http://a:1", "https://b:1"] }), [
    'cluster.peers[1]: expected http://…, because cluster.internal_tls.enabled is false, got "https://b:1"',
  ]);
  assert.deepEqual(faultsIn({ peers: ["http://a:1", "https://b:1"], internal_tls: tls() }), [
    'cluster.peers[0]: expected https://…, because cluster.internal_tls.enabled is true, got "http://a:1"',
  ]);
  assert.deepEqual(faultsIn({ peers: ["a:1"] }), [
    'cluster.peers[0]: expected a replica\'s address such as https://host:8444, got "a:1"',
  ]);
});

test("clusterConfig: certificates that cannot be used are faults now, and not at the first handshake", async () => {
  const peers = ["https://a:8444"];
  const other = await certificates.files("b");
  const faults = (fields: SettingsTree): string[] => faultsIn({ peers, internal_tls: tls(fields) });
  assert.match(
    faults({ cert_file: join(certificates.directory, "none") })[0] ?? "",
    /^cluster\.internal_tls\.cert_file: cannot read ".*none": ENOENT/,
  );
  assert.match(
    faults({ key_file: other.keyFile })[0] ?? "",
    /^cluster\.internal_tls: cannot use certificate ".*" with key ".*": /,
  );
  assert.match(
    faults({ ca_file: files.keyFile })[0] ?? "",
    /^cluster\.internal_tls\.ca_file: expected a file of PEM certificates, but ".*" holds none$/,
  );
});

test("clusterConfig: off loopback, a mesh without TLS is asked for in so many words", () => {
  const required =
    'cluster.internal_tls.enabled: required, because other machines reach cluster.internal_listen ("0.0.0.0:8444"): set it to true, or to false where nobody but replicas can connect';
  for (const found of [{ peers: ["http://a:1"] }, { service: "orca" }]) {
    const off = { ...found, internal_listen: "0.0.0.0:8444" };
    assert.deepEqual(faultsIn({ ...off, internal_tls: { enabled: "" } }), [required]);
    assert.deepEqual(faultsIn(off), [required]);
    assert.deepEqual(faultsIn({ ...off, internal_tls: { enabled: false } }), []);
    assert.deepEqual(faultsIn(off, { ORCA_CLUSTER_INTERNAL_TLS_ENABLED: "false" }), []);
    assert.deepEqual(faultsIn({ ...off, internal_listen: "127.8.8.8:8444" }), []);
  }
  assert.deepEqual(faultsIn({ internal_listen: "0.0.0.0:8444" }), [], "a cluster of one has no mesh");
});

test("clusterConfig: off loopback, copies on disks require TLS", () => {
  const copies = { peers: ["http://a:1"], replication: 2 };
  assert.deepEqual(faultsIn(copies), []);
  for (const internal_tls of [{}, { enabled: false }]) {
    assert.deepEqual(faultsIn({ ...copies, internal_listen: "10.0.0.7:8444", internal_tls }), [
      'cluster.internal_tls.enabled: expected true, because cluster.replication is 2 and other machines reach cluster.internal_listen ("10.0.0.7:8444"): this replica would keep on its disk what any of them sends',
    ]);
  }
  const peers = ["https://a:1"];
  assert.deepEqual(faultsIn({ ...copies, peers, internal_listen: "10.0.0.7:8444", internal_tls: tls() }), []);
  assert.deepEqual(faultsIn({ replication: 2, internal_listen: "0.0.0.0:8444" }), []);
});

test("clusterConfig: a port for chunk bytes needs TLS and an address of its own", () => {
  const bytes_listen = "127.0.0.1:8445";
  const peers = ["https://a:1"];
  assert.deepEqual(faultsIn({ peers, bytes_listen, internal_tls: tls() }), []);
  assert.deepEqual(faultsIn({ bytes_listen }), [], "a cluster of one has no mesh");
  assert.deepEqual(faultsIn({ peers: ["http://a:1"], bytes_listen, internal_tls: { enabled: false } }), [
    "cluster.bytes_listen: needs cluster.internal_tls.enabled: true, because without it any client that reaches this port reads chunks; else leave it out",
  ]);
  assert.deepEqual(faultsIn({ peers, bytes_listen: "127.0.0.1:8444", internal_tls: tls() }), [
    'cluster.bytes_listen: expected an address of its own, got "127.0.0.1:8444", which cluster.internal_listen has: choose another port',
  ]);
});

test("clusterConfig: TLS of a cluster of one has no effect, and is no fault", () => {
  assert.equal(clusterOf({ internal_tls: { enabled: true } }).internalTls, undefined);
  const absent = clusterOf({ internal_tls: tls({ cert_file: "/none" }) });
  assert.equal(absent.internalTls?.certFile, "/none");
  assert.equal(absent.clustered, false);
});
