/**
 * The one error class of Orca. A miss is a value and a bug is an AssertionFailure. Everything else that fails in operation
 * is an OrcaError, so that a catcher decides by `code` alone and never by the text of a message.
 */
import { AssertionFailure } from "./assert.ts";
import { errorTable } from "./error-table.ts";

export type ErrorCode = keyof typeof errorTable;

export const errorSources = [
  "client",
  "edge",
  "object",
  "fill",
  "memory",
  "disk",
  "cachestore",
  "origin",
  "membership",
  "mesh",
  "config",
  "replica",
] as const;

/** The part of Orca that met the fault first. */
export type ErrorSource = (typeof errorSources)[number];

export interface OrcaErrorOptions {
  readonly cause?: unknown;
  /** Seconds that the origin asked to wait (`Retry-After`), where it did. */
  readonly retryAfterSeconds?: number;
}

export class OrcaError extends Error {
  override readonly name = "OrcaError";
  readonly code: ErrorCode;
  readonly source: ErrorSource;
  readonly retryAfterSeconds: number | undefined;

  /** `message` names the action first and quotes values: `Cannot read chunk "…": expected 8 bytes, received 5`. */
  constructor(code: ErrorCode, source: ErrorSource, message: string, options: OrcaErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.source = source;
    this.retryAfterSeconds = options.retryAfterSeconds;
  }

  /** Whether the same request may be sent again to the same target. */
  get retryable(): boolean {
    return errorTable[this.code].retryable ?? false;
  }

  /**
   * Whether the error is the trouble of the peer that answered with it. Another replica can then be asked. Every other
   * error is final: what an origin answers does not depend on the replica that asked it.
   */
  get isPeerTrouble(): boolean {
    return errorTable[this.code].peer !== undefined;
  }

  /** Whether the peer cannot be reached at all. The peer is then avoided for a while. */
  get isPeerAbsence(): boolean {
    return errorTable[this.code].peer === "absent";
  }

  /** Whether the error is a lasting fact about an object that exists. Replicas cache such an answer and pass it on. */
  get isLasting(): boolean {
    return errorTable[this.code].lasting ?? false;
  }

  /**
   * `thrown` itself where it is an OrcaError already, else an OrcaError of `code` that keeps it as its cause.
   * @throws AssertionFailure as it was: a bug does not become an answer.
   */
  static from(thrown: unknown, code: ErrorCode, source: ErrorSource, action: string): OrcaError {
    if (thrown instanceof OrcaError) return thrown;
    if (thrown instanceof AssertionFailure) throw thrown;
    const reason = thrown instanceof Error ? thrown.message : String(thrown);
    return new OrcaError(code, source, `${action}: ${reason}`, { cause: thrown });
  }
}
