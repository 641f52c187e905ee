import assert from "node:assert/strict";
import { test } from "node:test";
import { type OpsEndpoint, textPage } from "../../src/ops/ops-endpoint.ts";
import { TokenGuard } from "../../src/ops/token-guard.ts";

const token = "0123456789abcdef";
const answer = async () => textPage(200, "");
const question = (path: string): OpsEndpoint => ({ method: "GET", path, help: "", answer });
const action: OpsEndpoint = { method: "POST", path: "/cache", action: "clear", help: "", answer };

test("TokenGuard: actions alone, or all but probes, need the token", () => {
  const forActions = new TokenGuard(token, "actions");
  const forAll = new TokenGuard(token, "all");
  for (const path of ["/healthz", "/readyz"]) {
    assert.ok(forActions.admits(undefined, question(path)));
    assert.ok(forAll.admits(undefined, question(path)));
  }
  for (const endpoint of [question("/metrics"), question("/"), undefined]) {
    assert.ok(forActions.admits(undefined, endpoint));
    assert.ok(!forAll.admits(undefined, endpoint));
    assert.ok(forAll.admits(`Bearer ${token}`, endpoint));
  }
  for (const guard of [forActions, forAll]) {
    assert.ok(guard.admits(`Bearer ${token}`, action));
    assert.ok(guard.admits(`bearer  ${token} `, action));
    for (const bad of [
      undefined,
      "",
      token,
      "Bearer",
      "Bearer ",
      `Bearer ${token}0`,
      `Basic ${token}`,
      "Bearer é",
    ])
      assert.ok(!guard.admits(bad, action), String(bad));
  }
});

test("TokenGuard: a page that tells nothing needs no token", () => {
  const page: OpsEndpoint = { method: "GET", path: "/console", help: "", isPublic: true, answer };
  assert.ok(new TokenGuard(token, "all").admits(undefined, page));
});

test("TokenGuard: a new token takes the place of the one before", () => {
  const guard = new TokenGuard(token, "all");
  guard.use("another-token-0123");
  assert.ok(!guard.admits(`Bearer ${token}`, action));
  assert.ok(guard.admits("Bearer another-token-0123", action));
});
