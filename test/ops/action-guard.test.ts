import assert from "node:assert/strict";
import { test } from "node:test";
import { actionDenial, type OpsActions } from "../../src/ops/action-guard.ts";

function denial(
  allowed: OpsActions,
  headers: Record<string, string>,
  remoteAddress: string | undefined = "127.0.0.1",
  hasToken = false,
): string {
  return actionDenial({ headers, socket: { remoteAddress } }, "clear", allowed, hasToken) ?? "taken";
}

const header = { "x-orca-action": "clear" };

test("actionDenial: by default this host may run actions, and no other", () => {
  for (const local of ["127.0.0.1", "127.8.9.10", "::1", "::ffff:127.0.0.1"])
    assert.equal(denial("local", header, local), "taken", local);
  for (const remote of ["10.0.0.1", "1127.0.0.1", "::ffff:10.0.0.1", "::2", "fe80::1", ""])
    assert.match(denial("local", header, remote), /server\.ops_actions to all/, remote);
  assert.match(actionDenial({ headers: header, socket: {} }, "clear", "local", false) ?? "", /own host/);
  assert.equal(denial("all", header, "10.0.0.1"), "taken");
  assert.match(denial("none", header), /switched off by server\.ops_actions/);
});

test("actionDenial: without the header that names it, or from a browser, nothing is done", () => {
  for (const allowed of ["local", "all"] as const) {
    assert.match(denial(allowed, {}), /needs the header "x-orca-action: clear"/);
    assert.match(denial(allowed, { "x-orca-action": "verify" }), /x-orca-action: clear/);
    for (const origin of ["https://evil.example", "http://127.0.0.1:8442", "null", ""])
      assert.match(denial(allowed, { ...header, origin }), /browser/);
  }
});

test("actionDenial: a page of this listener may run actions with the token, and no other page may", () => {
  const own = { ...header, host: "10.0.0.7:8442", origin: "http://10.0.0.7:8442" };
  const fetched = { ...own, "sec-fetch-site": "same-origin" };
  assert.match(denial("all", own, "10.0.0.1", false), /without a token/);
  for (const headers of [own, fetched, { ...own, origin: "https://10.0.0.7:8442" }])
    assert.equal(denial("all", headers, "10.0.0.1", true), "taken");
  assert.equal(
    denial(
      "all",
      { ...own, host: "Cache.Example:8442", origin: "http://cache.example:8442" },
      "10.0.0.1",
      true,
    ),
    "taken",
  );
  assert.match(denial("local", own, "10.0.0.1", true), /own host/);
  assert.match(denial("none", own, "127.0.0.1", true), /switched off/);
  const { "x-orca-action": _, ...unnamed } = own;
  assert.match(denial("all", unnamed, "127.0.0.1", true), /needs the header/);
  for (const origin of [
    "http://evil.example",
    "http://10.0.0.7",
    "http://10.0.0.7:8443",
    "null",
    "",
    "10.0.0.7:8442",
    "http://10.0.0.7:8442/",
  ])
    assert.match(denial("all", { ...own, origin }, "127.0.0.1", true), /another site/, origin);
  for (const site of ["cross-site", "same-site", "none"])
    assert.match(denial("all", { ...own, "sec-fetch-site": site }, "127.0.0.1", true), /another site/, site);
});
