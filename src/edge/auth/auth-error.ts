/** A request that is denied because of its credentials. */
import type { OrcaError } from "../../base/orca-error.ts";
import { ExplainedError } from "../errors/explained-error.ts";

export class AuthError extends ExplainedError {}

/** Why a request is denied; undefined where it is allowed. */
export type Denial = OrcaError | undefined;

/** The one answer to every request without the right to read, so that it does not tell what exists. */
export function accessDenied(message = "Access Denied"): AuthError {
  return new AuthError("access_denied", message);
}
