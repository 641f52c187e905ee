/** The log of a thread: its lines go to the main thread, which alone writes. Errors arrive as errors, with their codes. */
import type { Logger, WarningFields } from "../../base/logger.ts";
import { OrcaError } from "../../base/orca-error.ts";
import { receivedError, type SentError, sentError } from "../../edge/threads/sent-error.ts";
import type { LogLevelName } from "./thread-messages.ts";

type Send = (level: LogLevelName, fields: object, message: string) => void;

export class ThreadLogger implements Logger {
  isDebug: boolean;
  /** For the access log, whose lines appear at every level. */
  readonly access: Pick<Logger, "info">;
  readonly #send: Send;

  constructor(isDebug: boolean, send: Send) {
    this.isDebug = isDebug;
    this.#send = send;
    this.access = { info: (fields, message) => send("access", fields, message) };
  }

  debug(fields: object, message: string): void {
    if (this.isDebug) this.#send("debug", sentFields(fields), message);
  }

  info(fields: object, message: string): void {
    this.#send("info", sentFields(fields), message);
  }

  warn(fields: WarningFields, message: string): void {
    this.#send("warn", sentFields(fields), message);
  }

  error(fields: object, message: string): void {
    this.#send("error", sentFields(fields), message);
  }
}

class ErrorField {
  readonly sentError: SentError;

  constructor(error: OrcaError) {
    this.sentError = sentError(error);
  }
}

function sentFields(fields: object): object {
  return Object.fromEntries(
    Object.entries(fields).map(([name, value]) => [
      name,
      value instanceof OrcaError ? new ErrorField(value) : value,
    ]),
  );
}

/** The fields as the thread logged them. */
export function receivedFields(fields: object): object {
  return Object.fromEntries(
    Object.entries(fields).map(([name, value]: [string, unknown]) => [
      name,
      isErrorField(value) ? receivedError(value.sentError) : value,
    ]),
  );
}

function isErrorField(value: unknown): value is ErrorField {
  return typeof value === "object" && value !== null && "sentError" in value;
}
