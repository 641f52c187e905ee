import assert from "node:assert/strict";
import { test } from "node:test";
import { actionDenial, type OpsActions } from "../../src/ops/action-guard.ts";

function denial(
  allowed: OpsActions,
  headers: Record<string, string>,
  remoteAddress: string | undefined = "127.0.0.1",
): string {
  return actionDenial({ headers, socket: { remoteAddress } }, "clear", allowed) ?? "taken";
}

const header = { "x-orca-action": "clear" };

test("actionDenial: by default this host may run actions, and no other", () => {
  for (const local of ["127.0.0.1", "127.8.9.10", "::1", "::ffff:127.0.0.1"])
    assert.equal(denial("local", header, local), "taken", local);
  for (const remote of ["10.0.0.1", "1127.0.0.1", "::ffff:10.0.0.1", "::2", "fe80::1", ""])
    assert.match(denial("local", header, remote), /server\.ops_actions to all/, remote);
  assert.match(actionDenial({ headers: header, socket: {} }, "clear", "local") ?? "", /own host/);
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
