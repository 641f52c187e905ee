/**
 * A request that is denied because of its credentials. The answer to some of them has elements beside code and message,
 * which S3 sends so that the author of a client finds the mistake: the string to sign, the clock of the server.
 */
import { type ErrorCode, OrcaError } from "../../base/orca-error.ts";

/** An element of the S3 error body: its name and its text, which is not escaped yet. */
export type ErrorElement = readonly [name: string, text: string];

export class AuthError extends OrcaError {
  /** They hold what the client sent itself, and nothing of the key. */
  readonly elements: readonly ErrorElement[];

  constructor(code: ErrorCode, message: string, elements: readonly ErrorElement[] = []) {
    super(code, "client", message);
    this.elements = elements;
  }
}

/** Why a request is denied; undefined where it is allowed. */
export type Denial = OrcaError | undefined;

/** The one answer to every request without the right to read, so that it does not tell what exists. */
export function accessDenied(message = "Access Denied"): AuthError {
  return new AuthError("access_denied", message);
}
