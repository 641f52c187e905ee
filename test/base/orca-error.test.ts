import assert from "node:assert/strict";
import { test } from "node:test";
import { AssertionFailure } from "../../src/base/assert.ts";
import { errorTable } from "../../src/base/error-table.ts";
import { type ErrorCode, OrcaError } from "../../src/base/orca-error.ts";

const codes = Object.keys(errorTable) as ErrorCode[];

function codesWhere(holds: (error: OrcaError) => boolean): ErrorCode[] {
  return codes.filter((code) => holds(new OrcaError(code, "mesh", "x")));
}

test("errorTable: every 503 carries Retry-After, and nothing else does", () => {
  for (const code of codes)
    assert.equal(errorTable[code].retryAfter ?? false, errorTable[code].status === 503);
});

test("errorTable: every entry tells the operator what it means and what to do", () => {
  for (const { meaning, remedy } of Object.values(errorTable)) {
    assert.match(meaning, /^[A-Z`].*\.$/);
    assert.match(remedy, /^[A-Z`].*\.$/);
  }
});

test("OrcaError: what may be retried at the same target", () => {
  assert.deepEqual(
    codesWhere(({ retryable }) => retryable),
    ["origin_throttled", "origin_unavailable", "peer_unavailable", "not_coordinator"],
  );
});

test("OrcaError: a peer's absence is a peer's trouble, and an origin's answer is neither", () => {
  assert.deepEqual(
    codesWhere(({ isPeerAbsence }) => isPeerAbsence),
    ["shutting_down", "peer_unavailable"],
  );
  assert.deepEqual(
    codesWhere(({ isPeerTrouble }) => isPeerTrouble),
    ["request_timeout", "shutting_down", "peer_unavailable", "not_held", "internal"],
  );
});

test("OrcaError: what lasts is a fact about an object that exists, or about the name of a version", () => {
  assert.deepEqual(
    codesWhere(({ isLasting }) => isLasting),
    ["invalid_version_id", "origin_missing_etag", "origin_unsupported"],
  );
});

test("OrcaError.from: an OrcaError stays as it is, another error becomes the cause, a bug is thrown on", () => {
  const known = new OrcaError("not_held", "fill", "not here");
  assert.equal(OrcaError.from(known, "internal", "mesh", "Cannot read"), known);
  const reason = new TypeError("x is not a function");
  const made = OrcaError.from(reason, "internal", "mesh", "Cannot read");
  assert.deepEqual(
    [made.code, made.source, made.message],
    ["internal", "mesh", "Cannot read: x is not a function"],
  );
  assert.equal(made.cause, reason);
  assert.equal(OrcaError.from("odd", "internal", "mesh", "Cannot read").message, "Cannot read: odd");
  const bug = new AssertionFailure("a bug");
  assert.throws(() => OrcaError.from(bug, "internal", "mesh", "Cannot read"), bug);
});
