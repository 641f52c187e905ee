/**
 * Whether an error is the trouble of the peer that answered with it, and not of what was asked for: then somebody else
 * can be asked. Every other error is the answer, whoever gives it, and above all what an origin said is final.
 */
import type { ErrorCode, OrcaError } from "../base/orca-error.ts";

/** It cannot be spoken with, whatever about: it is gone around for a while. */
const absences: ReadonlySet<ErrorCode> = new Set<ErrorCode>(["peer_unavailable", "shutting_down"]);

/** It cannot answer this. One object that it stumbles over says nothing about the next. */
const stumbles: ReadonlySet<ErrorCode> = new Set<ErrorCode>(["internal", "not_held", "request_timeout"]);

export function isPeerTrouble(error: OrcaError): boolean {
  return isPeerAbsence(error) || stumbles.has(error.code);
}

export function isPeerAbsence(error: OrcaError): boolean {
  return absences.has(error.code);
}
