/**
 * Whether an error says something lasting about an object that is there, and not about the moment: such an answer can be
 * kept, and passed on between replicas as what it is.
 */
import type { ErrorCode, OrcaError } from "../base/orca-error.ts";

const lastingCodes: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  "origin_missing_etag",
  "origin_unsupported",
]);

export function isLastingError(error: OrcaError): boolean {
  return lastingCodes.has(error.code);
}
