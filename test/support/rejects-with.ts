/** An expected failure: an OrcaError of one code, handed back for a closer look. */
import assert from "node:assert/strict";
import { type ErrorCode, OrcaError } from "../../src/base/orca-error.ts";

export function rejectsWith(code: ErrorCode, promise: Promise<unknown>): Promise<OrcaError> {
  return promise.then(
    () => assert.fail(`expected ${code}`),
    (thrown: unknown) => {
      assert.ok(thrown instanceof OrcaError, `expected ${code}, not ${String(thrown)}`);
      assert.equal(thrown.code, code, thrown.message);
      return thrown;
    },
  );
}
