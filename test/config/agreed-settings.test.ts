import assert from "node:assert/strict";
import type { NetworkInterfaceInfo } from "node:os";
import { test } from "node:test";
import {
  advertisedAddress,
  agreedSettingsOf,
  type NetworkInterfaces,
} from "../../src/config/agreed-settings.ts";
import { loadConfig, type SettingsTree } from "../../src/config/load.ts";

const s3 = { id: "weights", awss3: { bucket: "data", endpoint: "http://garage:3900" } };
const azure = { id: "archive", driver: "azureblob", azureblob: { account: "acc", container: "logs" } };
const file = { id: "local", driver: "file", file: { root: "/srv/models/" } };

function identity(
  overrides: SettingsTree,
  env: Record<string, string> = {},
): ReturnType<typeof agreedSettingsOf> {
  return agreedSettingsOf(loadConfig({ env, overrides: { origins: [s3], ...overrides } }));
}

test("agreedSettingsOf: is the chunks' sizes and each origin's place, by path", () => {
  assert.deepEqual(identity({ origins: [s3, azure, file] }), {
    name: "",
    settings: {
      "chunking.size": "8MiB",
      "chunking.tiers": "64MiB from 1GiB on, 128MiB from 10GiB on",
      "origins[weights].driver": "awss3",
      "origins[weights].endpoint": "http://garage:3900/",
      "origins[weights].bucket": "data",
      "origins[archive].driver": "azureblob",
      "origins[archive].endpoint": "",
      "origins[archive].account": "acc",
      "origins[archive].container": "logs",
      "origins[local].driver": "file",
      "origins[local].root": "/srv/models",
    },
  });
});

test("agreedSettingsOf: what a chunk is made of differs when it should", () => {
  const plain = identity({}).settings;
  for (const overrides of [
    { chunking: { size: "16MiB" } },
    { chunking: { tiers: [] } },
    { chunking: { tiers: [{ min_object_size: "1073741825", chunk_size: "64MiB" }] } },
    { origins: [{ ...s3, id: "other" }] },
    { origins: [{ ...s3, awss3: { ...s3.awss3, bucket: "other" } }] },
    { origins: [{ ...s3, awss3: { ...s3.awss3, endpoint: "http://other:3900" } }] },
    { origins: [s3, file] },
  ]) {
    assert.notDeepEqual(identity(overrides).settings, plain, JSON.stringify(overrides));
  }
});

test("agreedSettingsOf: what each replica may have its own way is not in it, and no secret is", () => {
  const plain = identity({});
  const env = { ORCA_AWSS3_ACCESS_KEY: "hush", ORCA_AWSS3_SECRET_KEY: "hush", ORCA_MEMORY_MAX_BYTES: "2GiB" };
  assert.deepEqual(identity({ disk: { root: "/d" }, cluster: { zone: "z", replica_id: "a" } }, env), plain);
  const { awss3 } = s3;
  const elsewhere = {
    ...awss3,
    endpoint: "http://garage:3900/",
    region: "eu-central-1",
    use_path_style: true,
  };
  assert.deepEqual(identity({ origins: [{ ...s3, target_global: 7, awss3: elsewhere }] }), plain);
  assert.deepEqual(identity({ origins: [azure, s3] }), identity({ origins: [s3, azure] }));
});

test("agreedSettingsOf: the name is the one in the certificates", () => {
  const internal_tls = {
    enabled: true,
    cert_file: "c",
    key_file: "k",
    ca_file: "a",
    server_name: "orca.internal",
  };
  assert.equal(identity({ cluster: { internal_tls } }).name, "orca.internal");
});

function interfaceOf(address: string, internal: boolean): NetworkInterfaceInfo {
  const shared = { address, internal, mac: "00:00:00:00:00:00", cidr: null };
  return address.includes(":")
    ? { ...shared, family: "IPv6", netmask: "ffff::", scopeid: 0 }
    : { ...shared, family: "IPv4", netmask: "255.0.0.0" };
}

test("advertisedAddress: advertise, the pod's address, the listener's, the machine's, loopback, in this order", () => {
  const interfaces = {
    lo: [interfaceOf("127.0.0.1", true), interfaceOf("::1", true)],
    none: undefined,
    eth0: [interfaceOf("fd00::9", false), interfaceOf("10.1.2.3", false)],
    eth1: [interfaceOf("10.9.9.9", false)],
  };
  const address = (cluster: SettingsTree, network: NetworkInterfaces = interfaces): string =>
    advertisedAddress(loadConfig({ env: {}, overrides: { origins: [s3], cluster } }).cluster, 7000, network);
  const listening = { internal_listen: "10.0.0.1:0" };
  assert.equal(
    address({ ...listening, self_pod_ip: "10.0.0.2", advertise: "orca-0.orca:9" }),
    "orca-0.orca:9",
  );
  assert.equal(address({ ...listening, self_pod_ip: "10.0.0.2" }), "10.0.0.2:7000");
  assert.equal(address({ self_pod_ip: "fd00::2" }), "[fd00::2]:7000");
  assert.equal(address(listening), "10.0.0.1:7000");
  assert.equal(address({ internal_listen: "[::1]:0" }), "[::1]:7000");
  assert.equal(address({ internal_listen: "localhost:0" }), "localhost:7000");
  assert.equal(address({ internal_listen: "0.0.0.0:0" }), "10.1.2.3:7000");
  assert.equal(address({ internal_listen: "[::]:0" }), "10.1.2.3:7000");
  assert.equal(address({}, { lo: interfaces.lo }), "127.0.0.1:7000");
  assert.equal(address({}, {}), "127.0.0.1:7000");
});
