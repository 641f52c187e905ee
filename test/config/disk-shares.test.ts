/** Shares of the disk in the settings: what they become, and which of them cannot hold. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { OrcaError } from "../../src/base/orca-error.ts";
import { treeOf } from "../../src/config/config.ts";
import { diskSharesOf } from "../../src/config/disk-shares.ts";
import { loadConfig, type SettingsTree } from "../../src/config/load.ts";
import { noShare, shareNumber } from "../../src/store/disk/shares/disk-share.ts";

const disk = { root: "/d" };

function originWith(buckets: SettingsTree, id = "o"): SettingsTree {
  return { id, awss3: { bucket: "data" }, buckets };
}

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

test("diskSharesOf: the places with a share or a priority, each once, and none of the others", () => {
  const buckets = {
    a: { disk_share: 0.2 },
    same: { disk_share: "0.2" },
    plain: { prefix: "p/" },
    explicit: { prefix: "e/", priority: "normal" },
    low: { bucket: "other", prefix: "x/", priority: "low" },
    "*": { disk_share: 0.1, priority: "high" },
  };
  const config = loadConfig({ env: {}, overrides: { origin: originWith(buckets), disk } });
  assert.deepEqual(diskSharesOf(config), [
    {
      name: "a",
      originId: "o",
      bucket: "data",
      named: [
        { bucket: "data", prefix: "p/" },
        { bucket: "data", prefix: "e/" },
      ],
      prefix: "",
      share: 0.2,
      priority: "normal",
    },
    { name: "low", originId: "o", bucket: "other", prefix: "x/", share: 0, priority: "low" },
    {
      name: "*",
      originId: "o",
      bucket: undefined,
      named: [
        { bucket: "data", prefix: "" },
        { bucket: "data", prefix: "" },
        { bucket: "data", prefix: "p/" },
        { bucket: "data", prefix: "e/" },
        { bucket: "other", prefix: "x/" },
      ],
      prefix: "",
      share: 0.1,
      priority: "high",
    },
  ]);
  const again = loadConfig({ env: {}, overrides: treeOf(config) as SettingsTree });
  assert.deepEqual(again, config);
});

test("checkDiskShares: all shares together are at most the low watermark, whichever origin has them", () => {
  const third = (id: string): SettingsTree => originWith({ [id]: { disk_share: 0.3 } }, id);
  const origins = [third("a"), third("b")];
  assert.deepEqual(
    faultsOf({ origins: [...origins, originWith({ c: { disk_share: 0.25 } }, "c")], disk }),
    [],
  );
  assert.deepEqual(faultsOf({ origins: [...origins, third("c")], disk }), [
    "origins: expected disk_share of all buckets to be at most disk.low_watermark (0.85) together, got 0.9",
  ]);
  assert.deepEqual(
    faultsOf({ origin: originWith({ a: { disk_share: 0.6 } }), disk: { ...disk, low_watermark: 0.5 } }),
    [
      "origin.buckets: expected disk_share of all buckets to be at most disk.low_watermark (0.5) together, got 0.6",
    ],
  );
});

test("checkDiskShares: a pin_share that is written must fit beside them, the default one gives way", () => {
  const origin = originWith({ a: { disk_share: 0.6 } });
  assert.deepEqual(faultsOf({ origin, disk }), []);
  assert.deepEqual(faultsOf({ origin, disk: { ...disk, pin_share: 0.25 } }), []);
  assert.deepEqual(faultsOf({ origin, disk: { ...disk, pin_share: 0.3 } }), [
    "disk.pin_share: expected at most 0.25, which disk_share of the buckets (0.6 together) leaves of disk.low_watermark (0.85), got 0.3",
  ]);
  assert.deepEqual(
    faultsOf({ origin: originWith({ a: { priority: "low" } }), disk: { ...disk, pin_share: 1 } }),
    [],
  );
});

test("checkDiskShares: without a disk there is nothing to share", () => {
  assert.deepEqual(faultsOf({ origin: originWith({ a: { priority: "normal" } }) }), []);
  assert.deepEqual(faultsOf({ origin: originWith({ a: { disk_share: 0.1 } }) }), [
    "origin.buckets.a.disk_share: expected a disk, because only disks have shares: set disk.root, or leave this out",
  ]);
  assert.deepEqual(faultsOf({ origins: [originWith({ "my.a": { priority: "low" } })] }), [
    'origins[0].buckets["my.a"].priority: expected a disk, because only disks have shares: set disk.root, or leave this out',
  ]);
});

function lowBuckets(count: number): SettingsTree {
  return Object.fromEntries(
    Array.from({ length: count }, (_, index) => [`b${index}`, { bucket: `b${index}`, priority: "low" }]),
  );
}

test("checkDiskShares: at most 32 names", () => {
  assert.deepEqual(faultsOf({ origin: originWith(lowBuckets(32)), disk }), []);
  assert.deepEqual(faultsOf({ origin: originWith(lowBuckets(33)), disk }), [
    "origin.buckets: expected disk_share or priority of at most 32 buckets, got 33",
  ]);
});

test("loadConfig: a share is above 0 and at most 1, a priority one of three, and one place has one of each", () => {
  const buckets = {
    a: { disk_share: 0 },
    b: { disk_share: 1.5 },
    c: { disk_share: "half" },
    d: { priority: "highest" },
    e: { bucket: "x", disk_share: 0.1 },
    f: { bucket: "x", disk_share: 0.2 },
    g: { bucket: "x", disk_share: 0.1, priority: "low" },
  };
  assert.deepEqual(faultsOf({ origin: originWith(buckets), disk }), [
    'origin.buckets.a.disk_share: expected a number above 0 and at most 1, got "0"',
    'origin.buckets.b.disk_share: expected a number above 0 and at most 1, got "1.5"',
    'origin.buckets.c.disk_share: expected a number above 0 and at most 1, got "half"',
    'origin.buckets.d.priority: expected one of low, normal, high, got "highest"',
    'origin.buckets.f.disk_share: expected the same as of "e", which is the same place',
    'origin.buckets.g.priority: expected the same as of "e", which is the same place',
  ]);
});

test('diskSharesOf: a bucket that is named without a share is not in the share of "*"', () => {
  const buckets = {
    plain: { bucket: "plain" },
    part: { bucket: "b", prefix: "p/" },
    "*": { disk_share: 0.4 },
  };
  const places = diskSharesOf(loadConfig({ env: {}, overrides: { origin: originWith(buckets), disk } }));
  const numberOf = (bucket: string, objectKey: string): number =>
    shareNumber(places, { originId: "o", bucket, objectKey });
  assert.deepEqual([numberOf("plain", "k"), numberOf("b", "p/k")], [noShare, noShare]);
  assert.deepEqual([numberOf("any", "k"), numberOf("b", "k")], [1, 1]);
});

test("diskSharesOf: a prefix that is named without a share is not in the share of a shorter one", () => {
  const buckets = {
    all: { bucket: "b", disk_share: 0.4 },
    logs: { bucket: "b", prefix: "logs/" },
    errors: { bucket: "b", prefix: "logs/errors/", priority: "high" },
    other: { bucket: "c", prefix: "models/" },
  };
  const places = diskSharesOf(loadConfig({ env: {}, overrides: { origin: originWith(buckets), disk } }));
  const numberOf = (objectKey: string): number =>
    shareNumber(places, { originId: "o", bucket: "b", objectKey });
  assert.deepEqual(["k", "logs/k", "logs/errors/k", "models/k"].map(numberOf), [1, noShare, 2, 1]);
});
