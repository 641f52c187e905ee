import assert from "node:assert/strict";
import { test } from "node:test";
import { Grant } from "../../../src/edge/auth/grant.ts";

test("Grant: buckets, prefixes and actions all have to fit", () => {
  const grant = new Grant({ buckets: ["b"], prefixes: ["p/", "q"], actions: ["get", "list"] });
  assert.ok(grant.allows("get", "b", "p/k"));
  assert.ok(grant.allows("list", "b", "p/"));
  assert.ok(grant.allows("list", "b", "quite"));
  for (const [action, bucket, text] of [
    ["get", "c", "p/k"],
    ["get", "b", "P/k"],
    ["get", "b", "p"],
    ["list", "b", ""],
    ["list", "b", "p"],
    ["get", "b", ""],
  ] as const) {
    assert.ok(!grant.allows(action, bucket, text), `${action} ${bucket} ${text}`);
  }
  const getter = new Grant({ buckets: ["*"], prefixes: [], actions: ["get"] });
  assert.deepEqual([getter.allows("get", "any", "k"), getter.allows("list", "any", "k")], [true, false]);
});

test("Grant: below a prefix no key has dot segments, and in a whole bucket they are the origin's affair", () => {
  const below = new Grant({ buckets: ["b"], prefixes: ["p/"], actions: ["get", "list"] });
  for (const key of ["p/../k", "p/./k", "p/..", "p/a/../../k", "p\\..\\k", "p/..\\k"])
    assert.ok(!below.allows("get", "b", key), key);
  for (const key of ["p/a..b", "p/...", "p/.hidden", "p//k"]) assert.ok(below.allows("get", "b", key), key);
  const whole = new Grant({ buckets: ["b"], prefixes: [""], actions: ["get"] });
  assert.ok(whole.allows("get", "b", "../k"));
});
