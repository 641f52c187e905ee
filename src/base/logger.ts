/**
 * The few words a part needs from a logger; pino's own logger fits it. Fields come first, then one sentence that
 * says what happened and to what. Secrets and whole ETags are never among the fields.
 */
export interface Logger {
  /** Asked on the hot path before the fields of a debug event are put together. */
  isLevelEnabled(level: "debug"): boolean;
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}
