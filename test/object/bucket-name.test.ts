import assert from "node:assert/strict";
import { test } from "node:test";
import { isBucketName, isContainerName } from "../../src/object/bucket-name.ts";

test("isBucketName: the names that S3 allows for general purpose buckets", () => {
  const good = [
    "abc",
    "my-bucket",
    "my.bucket.1",
    "a--b",
    "1-2",
    "1.2.3",
    "1.2.3.4.5",
    "a".repeat(63),
    "x-xn--y",
  ];
  for (const name of good) assert.equal(isBucketName(name), true, name);
});

test("isBucketName: names that the rules forbid", () => {
  const short = ["", "a", "ab", "a".repeat(64)];
  const shapes = [
    "Abc",
    "a_c",
    "-ab",
    "ab-",
    ".ab",
    "ab.",
    "a..b",
    "a b",
    "a/b",
    "$web",
    "abé",
    "abc\n",
    "../x",
  ];
  const addresses = ["192.168.5.4", "999.0.0.1"];
  const reserved = ["xn--abc", "sthree-abc", "sthree-configurator", "amzn-s3-demo-bucket"];
  const ends = ["abc-s3alias", "abc--ol-s3", "abc.mrap", "abc--x-s3", "abc--table-s3"];
  for (const name of [...short, ...shapes, ...addresses, ...reserved, ...ends])
    assert.equal(isBucketName(name), false, name);
});

test("isContainerName: no dots, and no two hyphens in a row", () => {
  assert.equal(isContainerName("my-container"), true);
  for (const name of ["my.container", "a--b", "ab", "$root"])
    assert.equal(isContainerName(name), false, name);
});
