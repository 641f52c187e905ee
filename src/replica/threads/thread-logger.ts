/**
 * The log of a thread: its lines go to the main thread, which alone writes. Errors arrive as errors, with their codes.
 *
 * Invariant: at most {@link linesMax} lines are on their way. Where the main thread is too busy to take them, further ones
 * are dropped and counted, as lines are that the reader of the log does not take.
 */
import type { Logger, WarningFields } from "../../base/logger.ts";
import { OrcaError } from "../../base/orca-error.ts";
import type { SentLine } from "../../edge/threads/question.ts";
import { receivedError, type SentError, sentError } from "../../edge/threads/sent-error.ts";

/** Of a few KiB at most each. */
const linesMax = 4096;

export class ThreadLogger implements Logger {
  isDebug: boolean;
  /** For the access log, whose lines appear at every level. */
  readonly access: Pick<Logger, "info">;
  readonly #send: (line: SentLine) => void;
  #underway = 0;
  #dropped = 0;
  #allArrived: PromiseWithResolvers<void> | undefined;

  constructor(isDebug: boolean, send: (line: SentLine) => void) {
    this.isDebug = isDebug;
    this.#send = send;
    this.access = { info: (fields, message) => this.#add("access", fields, message) };
  }

  debug(fields: object, message: string): void {
    if (this.isDebug) this.#add("debug", fields, message);
  }

  info(fields: object, message: string): void {
    this.#add("info", fields, message);
  }

  warn(fields: WarningFields, message: string): void {
    this.#add("warn", fields, message);
  }

  error(fields: object, message: string): void {
    this.#add("error", fields, message);
  }

  /** So many lines have arrived. */
  arrived(lines: number): void {
    this.#underway -= lines;
    if (this.#underway === 0) this.#allArrived?.resolve();
  }

  /** Resolves when the main thread has all lines. To be called once. */
  async settled(): Promise<void> {
    if (this.#underway === 0) return;
    this.#allArrived = Promise.withResolvers<void>();
    await this.#allArrived.promise;
  }

  /** The lines dropped since the last call. */
  takeDropped(): number {
    const dropped = this.#dropped;
    this.#dropped = 0;
    return dropped;
  }

  #add(level: SentLine["level"], fields: object, message: string): void {
    if (this.#underway >= linesMax) {
      this.#dropped += 1;
      return;
    }
    this.#underway += 1;
    this.#send({ level, fields: sentFields(fields), message });
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
