import assert from "node:assert/strict";
import { test } from "node:test";
import { loadConfig, type SettingsTree } from "../../src/config/load.ts";
import { mayResolveDotSegments } from "../../src/replica/origins.ts";

function mayResolve(origin: SettingsTree, prefix = ""): boolean {
  const config = loadConfig({ env: {}, overrides: { origin: { id: "o", ...origin } } }).origins[0];
  assert.ok(config);
  return mayResolveDotSegments(config, prefix);
}

function s3(endpoint?: string): SettingsTree {
  return { driver: "awss3", awss3: { bucket: "b", ...(endpoint && { endpoint }) } };
}

test("mayResolveDotSegments: AWS without a prefix does not", () => {
  for (const endpoint of [
    undefined,
    "https://s3.eu-west-1.amazonaws.com",
    "https://bucket.vpce-1a2b.s3.us-east-1.vpce.amazonaws.com",
    "https://s3.cn-north-1.amazonaws.com.cn",
  ]) {
    assert.equal(mayResolve(s3(endpoint)), false, endpoint ?? "none");
    assert.equal(mayResolve(s3(endpoint), "pub/"), true, endpoint ?? "none");
  }
});

test("mayResolveDotSegments: other S3 services may, unless the setting says that they do not", () => {
  for (const endpoint of [
    "http://rgw:7480",
    "https://amazonaws.com.example.org",
    "https://not-amazonaws.com",
    "http://127.0.0.1:9000/amazonaws.com",
  ]) {
    assert.equal(mayResolve(s3(endpoint)), true, endpoint);
    assert.equal(mayResolve({ ...s3(endpoint), allow_dot_segments: true }, "pub/"), false, endpoint);
  }
});

test("mayResolveDotSegments: the drivers for Azure and directories send no such key", () => {
  assert.equal(mayResolve({ driver: "file", file: { root: "/srv/data" } }, "pub/"), false);
  assert.equal(
    mayResolve({ driver: "azureblob", azureblob: { account: "acct", container: "c-c" } }, "pub/"),
    false,
  );
});
