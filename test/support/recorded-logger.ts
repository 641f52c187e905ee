/** A logger that keeps what it is told, so that a test can count events. */
import type { Logger } from "../../src/base/logger.ts";

export type RecordedLevel = Exclude<keyof Logger, "isDebug">;

export interface RecordedEvent {
  readonly level: RecordedLevel;
  readonly fields: object;
  readonly message: string;
}

export class RecordedLogger implements Logger {
  readonly events: RecordedEvent[] = [];

  isDebug = true;

  debug(fields: object, message: string): void {
    this.events.push({ level: "debug", fields, message });
  }

  info(fields: object, message: string): void {
    this.events.push({ level: "info", fields, message });
  }

  warn(fields: object, message: string): void {
    this.events.push({ level: "warn", fields, message });
  }

  error(fields: object, message: string): void {
    this.events.push({ level: "error", fields, message });
  }

  count(level: RecordedLevel): number {
    return this.events.filter((event) => event.level === level).length;
  }
}
