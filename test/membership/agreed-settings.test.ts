import assert from "node:assert/strict";
import { test } from "node:test";
import { fingerprintOf, mismatch } from "../../src/membership/agreed-settings.ts";
import { memberOf } from "../support/member-of.ts";
import { agreedSettings } from "../support/membership-fixture.ts";

test("fingerprintOf: depends on every value, and not on the order of settings", () => {
  const reversed = { ...agreedSettings, settings: { "origin.id": "origin-a", "chunking.size": "8388608" } };
  assert.equal(fingerprintOf(reversed), fingerprintOf(agreedSettings));
  const other = { ...agreedSettings, settings: { ...agreedSettings.settings, "origin.id": "origin-b" } };
  assert.notEqual(fingerprintOf(other), fingerprintOf(agreedSettings));
});

test("mismatch: names the setting and both values", () => {
  const peerSettings = { ...agreedSettings.settings, "chunking.size": "1048576" };
  const peer = memberOf("r2", { fingerprint: fingerprintOf({ ...agreedSettings, settings: peerSettings }) });
  const found = mismatch(memberOf("r1"), agreedSettings, peer, peerSettings);
  assert.equal(found?.code, "config_invalid");
  assert.deepEqual(
    [found.setting, found.selfValue, found.peerValue],
    ["chunking.size", "8388608", "1048576"],
  );
  assert.match(found.message, /"r2".*chunking.size is "1048576" there and "8388608" here/);
});

test("mismatch: names a setting that only one side has, and the fingerprint if the peer's settings are unknown", () => {
  const peerSettings = { ...agreedSettings.settings, "origins[1].id": "origin-b" };
  const peer = memberOf("r2", { fingerprint: fingerprintOf({ ...agreedSettings, settings: peerSettings }) });
  const found = mismatch(memberOf("r1"), agreedSettings, peer, peerSettings);
  assert.deepEqual([found?.setting, found?.selfValue, found?.peerValue], ["origins[1].id", "", "origin-b"]);
  assert.equal(mismatch(memberOf("r1"), agreedSettings, peer)?.setting, "fingerprint");
});

test("mismatch: reports another cluster by its name, and nothing for the same cluster", () => {
  const peer = memberOf("r2", { clusterName: "other.test" });
  const found = mismatch(memberOf("r1"), agreedSettings, peer);
  assert.equal(found?.setting, "cluster.internal_tls.server_name");
  assert.equal(mismatch(memberOf("r1"), agreedSettings, memberOf("r2")), undefined);
});
