/**
 * An error that the client made and whose answer has elements beside code and message. S3 sends them so that the author of
 * a client finds the mistake: the string to sign, the clock of the server, the number of parts.
 */
import { type ErrorCode, OrcaError } from "../../base/orca-error.ts";

/** An element of the S3 error body: its name and its text, which is not escaped yet. */
export type ErrorElement = readonly [name: string, text: string];

export class ExplainedError extends OrcaError {
  /** They hold what the client sent itself, and what it may know. */
  readonly elements: readonly ErrorElement[];

  constructor(code: ErrorCode, message: string, elements: readonly ErrorElement[] = []) {
    super(code, "client", message);
    this.elements = elements;
  }
}
