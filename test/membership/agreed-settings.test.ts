import assert from "node:assert/strict";
import { test } from "node:test";
import { fingerprintOf, mismatch } from "../../src/membership/agreed-settings.ts";
import { memberOf } from "../support/member-of.ts";
import { identity } from "../support/membership-fixture.ts";

test("fingerprintOf: does not depend on the order of settings, and does on every value", () => {
  const reversed = { ...identity, settings: { "origin.id": "origin-a", "chunking.size": "8388608" } };
  assert.equal(fingerprintOf(reversed), fingerprintOf(identity));
  const other = { ...identity, settings: { ...identity.settings, "origin.id": "origin-b" } };
  assert.notEqual(fingerprintOf(other), fingerprintOf(identity));
});

test("mismatch: names the setting and both values", () => {
  const theirs = { ...identity.settings, "chunking.size": "1048576" };
  const peer = memberOf("r2", { fingerprint: fingerprintOf({ ...identity, settings: theirs }) });
  const found = mismatch(memberOf("r1"), identity, peer, theirs);
  assert.equal(found?.code, "config_invalid");
  assert.deepEqual(
    [found.setting, found.ourValue, found.theirValue],
    ["chunking.size", "8388608", "1048576"],
  );
  assert.match(found.message, /"r2".*chunking.size is "1048576" there and "8388608" here/);
});

test("mismatch: names a setting that only one of them has, and the fingerprint where settings are not told", () => {
  const theirs = { ...identity.settings, "origins[1].id": "origin-b" };
  const peer = memberOf("r2", { fingerprint: fingerprintOf({ ...identity, settings: theirs }) });
  const found = mismatch(memberOf("r1"), identity, peer, theirs);
  assert.deepEqual([found?.setting, found?.ourValue, found?.theirValue], ["origins[1].id", "", "origin-b"]);
  assert.equal(mismatch(memberOf("r1"), identity, peer)?.setting, "fingerprint");
});

test("mismatch: another cluster is named by its name, and the same one is none", () => {
  const peer = memberOf("r2", { clusterName: "other.test" });
  const found = mismatch(memberOf("r1"), identity, peer);
  assert.equal(found?.setting, "cluster.internal_tls.server_name");
  assert.equal(mismatch(memberOf("r1"), identity, memberOf("r2")), undefined);
});
