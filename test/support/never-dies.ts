import { fail } from "node:assert/strict";
import type { OrcaError } from "../../src/base/orca-error.ts";

/** For listeners that listen until their test has ended. */
export function neverDies(error: OrcaError): void {
  fail(error.message);
}
