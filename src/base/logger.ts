/** The interface of the log: levels, events with fields, and what each warning must name. */
import type { Page } from "./pages.ts";

/** Fields of a warning: the page that explains it, and others. */
export interface WarningFields {
  readonly see: Page;
  readonly [name: string]: unknown;
}

/**
 * The methods of a logger that parts use; pino's logger has them. Fields come first, then a sentence that says what
 * happened to which object. Fields never hold secrets or whole ETags.
 */
export interface Logger {
  /** Whether debug events are logged now. The hot path reads this before it builds the fields of one. */
  readonly isDebug: boolean;
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  warn(fields: WarningFields, message: string): void;
  error(fields: object, message: string): void;
}
