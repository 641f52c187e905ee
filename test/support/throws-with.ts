/** {@link rejectsWith} for a call that throws: an OrcaError of one code, handed back for a closer look. */
import assert from "node:assert/strict";
import { type ErrorCode, OrcaError } from "../../src/base/orca-error.ts";

export function throwsWith(code: ErrorCode, call: () => unknown): OrcaError {
  try {
    call();
  } catch (thrown) {
    assert.ok(thrown instanceof OrcaError, `expected ${code}, not ${String(thrown)}`);
    assert.equal(thrown.code, code, thrown.message);
    return thrown;
  }
  return assert.fail(`expected ${code}`);
}
