/**
 * Whether an error is the trouble of the peer that answered with it, and not of what was asked for: then somebody else
 * can be asked. Every other error is the answer, whoever gives it, and above all what an origin said is final.
 */
import type { ErrorCode, OrcaError } from "../base/orca-error.ts";

const troubles: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  "peer_unavailable",
  "shutting_down",
  "internal",
  "not_held",
  "request_timeout",
]);

export function isPeerTrouble(error: OrcaError): boolean {
  return troubles.has(error.code);
}
