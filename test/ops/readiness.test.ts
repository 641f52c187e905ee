import assert from "node:assert/strict";
import { test } from "node:test";
import { Readiness } from "../../src/ops/readiness.ts";

test("Readiness: ready in the serving phase alone", () => {
  const readiness = new Readiness();
  assert.deepEqual(readiness.report(), { ready: false, checks: { phase: "starting" }, notices: {} });
  readiness.enter("serving");
  assert.deepEqual(readiness.report(), { ready: true, checks: { phase: "ok" }, notices: {} });
  readiness.enter("draining");
  assert.deepEqual(readiness.report(), { ready: false, checks: { phase: "draining" }, notices: {} });
});

test("Readiness: one check that disagrees is enough, and all are reported", () => {
  const readiness = new Readiness();
  let diskReason: string | null = "no space left";
  readiness.add("disk", () => diskReason);
  readiness.add("origin", () => null);
  readiness.enter("serving");
  assert.deepEqual(readiness.report(), {
    ready: false,
    checks: { phase: "ok", disk: "no space left", origin: "ok" },
    notices: {},
  });
  diskReason = null;
  assert.equal(readiness.report().ready, true);
});

test("Readiness: a notice is told and keeps no client away", () => {
  const readiness = new Readiness();
  readiness.addNotice("cachestore", () => "it refuses our keys");
  readiness.enter("serving");
  assert.deepEqual(readiness.report(), {
    ready: true,
    checks: { phase: "ok" },
    notices: { cachestore: "it refuses our keys" },
  });
});

test("Readiness: a phase is not entered backwards", () => {
  const readiness = new Readiness();
  readiness.enter("draining");
  assert.throws(() => readiness.enter("serving"), { name: "AssertionFailure" });
});

test("Readiness: a check's name is taken once", () => {
  const readiness = new Readiness();
  readiness.add("disk", () => null);
  assert.throws(() => readiness.add("disk", () => null), { name: "AssertionFailure" });
});
