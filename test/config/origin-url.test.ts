import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { OrcaError } from "../../src/base/orca-error.ts";
import type { Config } from "../../src/config/config.ts";
import { loadConfig } from "../../src/config/load.ts";
import { originFromUrl } from "../../src/config/origin-url.ts";
import { anyText } from "../support/any-text.ts";

function load(url: string): Config["origins"][number] {
  const [origin] = loadConfig({ env: {}, overrides: { origin: originFromUrl(url) } }).origins;
  assert.ok(origin);
  return origin;
}

function refusalOf(url: string): string {
  let message = "";
  assert.throws(
    () => originFromUrl(url),
    (thrown) => {
      assert.ok(thrown instanceof OrcaError && thrown.code === "config_invalid");
      message = thrown.message;
      return true;
    },
  );
  return message;
}

test("originFromUrl: s3://bucket is the whole bucket", () => {
  const origin = load("s3://data.example");
  assert.equal(origin.id, "awss3-data.example");
  assert.ok(origin.driver === "awss3");
  assert.deepEqual(origin.awss3, {
    bucket: "data.example",
    endpoint: undefined,
    region: "us-east-1",
    usePathStyle: false,
    bucketOwner: undefined,
    requestPayer: false,
  });
  assert.deepEqual([...origin.buckets], [["data.example", { bucket: "data.example", prefix: "" }]]);
  assert.deepEqual(load("s3://data.example/"), origin);
});

test("originFromUrl: s3 takes a prefix as a folder, and endpoint, region and path_style from the query", () => {
  const origin = load("s3://data/a/b%20c?endpoint=http://127.0.0.1:9000&region=eu-central-1&path_style=true");
  assert.ok(origin.driver === "awss3");
  assert.deepEqual(origin.awss3, {
    bucket: "data",
    endpoint: "http://127.0.0.1:9000",
    region: "eu-central-1",
    usePathStyle: true,
    bucketOwner: undefined,
    requestPayer: false,
  });
  assert.deepEqual(origin.buckets.get("data"), { bucket: "data", prefix: "a/b c/" });
});

test("originFromUrl: azblob://account/container/prefix", () => {
  const origin = load("azblob://devstoreaccount1/data/logs?endpoint=http://127.0.0.1:10000/devstoreaccount1");
  assert.equal(origin.id, "azureblob-devstoreaccount1-data");
  assert.ok(origin.driver === "azureblob");
  assert.deepEqual(origin.azureblob, {
    account: "devstoreaccount1",
    container: "data",
    endpoint: "http://127.0.0.1:10000/devstoreaccount1",
  });
  assert.deepEqual(origin.buckets.get("data"), { bucket: "data", prefix: "logs/" });
});

test("originFromUrl: file:///dir is a bucket named for its last segment", () => {
  const origin = load("file:///srv/my%24files/");
  assert.ok(origin.driver === "file");
  assert.equal(origin.file.root, "/srv/my$files");
  assert.deepEqual([...origin.buckets], [["my$files", { bucket: "my$files", prefix: "" }]]);
});

test("originFromUrl: two directories of one name are two origins", () => {
  assert.notEqual(load("file:///a/data").id, load("file:///b/data").id);
  assert.equal(load("file:///a/data").id, load("file:///a/data/").id);
});

test("originFromUrl: an id that would be too long keeps within its bound and apart from others", () => {
  const container = "c".repeat(62);
  const ids = ["a", "b"].map((last) => load(`azblob://accountaccountaccount/${container}${last}`).id);
  assert.deepEqual(
    ids.map((id) => id.length),
    [64, 64],
  );
  assert.notEqual(ids[0], ids[1]);
});

test("originFromUrl: what cannot be an origin is refused with what was expected", () => {
  const forms = "expected s3://bucket, azblob://account/container or file:///dir";
  assert.equal(refusalOf("gs://bucket"), `Cannot use "gs://bucket" as an origin: ${forms}`);
  assert.equal(refusalOf("bucket"), `Cannot use "bucket" as an origin: ${forms}`);
  assert.match(refusalOf("s3://"), /expected s3:\/\/bucket or/);
  assert.match(refusalOf("azblob://account"), /expected azblob:\/\/account\/container or/);
  assert.match(refusalOf("file://dir/sub"), /three slashes/);
  assert.match(refusalOf("s3://bucket/%ff"), /percent-encoding/);
  assert.equal(
    refusalOf("s3://bucket?endpont=http://x"),
    'Cannot use "s3://bucket" as an origin: expected only endpoint, region, path_style, use_path_style in its query, got "endpont"; did you mean `endpoint`?',
  );
});

test("originFromUrl: a password is refused and not shown", () => {
  assert.doesNotMatch(refusalOf("s3://user:hush@bucket"), /hush/);
  assert.doesNotMatch(refusalOf("azblob://account/container?sig=hush"), /hush/);
});

test("originFromUrl: any text is an origin or an OrcaError", () => {
  const urls = fc.tuple(
    fc.constantFrom("s3://", "azblob://", "file://", "s3:", ""),
    anyText().map((text) => `/${encodeURI(text)}`),
    fc.string(),
  );
  fc.assert(
    fc.property(urls, (parts) => {
      try {
        load(parts.join(""));
      } catch (thrown) {
        assert.ok(thrown instanceof OrcaError && thrown.code === "config_invalid", String(thrown));
      }
    }),
  );
});
