/**
 * The process's log: JSON, one event a line, for machines; a readable line for a person at a terminal. Both are
 * written synchronously, so that the last line before an exit is there, and in order. Parts see only the `Logger`
 * of base/; pino is known to this file alone.
 */
import { isatty } from "node:tty";
import { type DestinationStream, destination, type Logger as Pino, pino } from "pino";
import { prettyFactory } from "pino-pretty";
import type { Clock } from "../base/clock.ts";
import type { Logger } from "../base/logger.ts";
import { loggableFields } from "./loggable.ts";

export type LogLevel = "debug" | "info" | "warn" | "error";

export interface ParentLogger extends Logger {
  /** A logger that adds `fields` to each of its events, such as `{ requestId }`. */
  child(fields: object): ParentLogger;
}

/** Where events go: a stream, or whatever has its `write`. */
export interface LogStream extends DestinationStream {
  readonly isTTY?: boolean;
}

export interface LoggerOptions {
  readonly level: LogLevel;
  readonly clock: Clock;
  /** Standard output when left out. */
  readonly stream?: LogStream;
  /** One readable line per event, with colours if the stream is a terminal, in place of JSON. */
  readonly pretty: boolean;
}

const standardOutputFd = 1;

export function createLogger(options: LoggerOptions): ParentLogger {
  const { level, clock, pretty } = options;
  const colours = options.stream ? options.stream.isTTY === true : isatty(standardOutputFd);
  const stream = options.stream ?? destination({ dest: standardOutputFd, sync: true });
  const logger = pino(
    {
      level,
      base: null,
      timestamp: () => `,"time":"${new Date(clock.now()).toISOString()}"`,
      formatters: { level: (label) => ({ level: label }), log: loggableFields },
      // loggableFields has spelled out errors already, whatever the name of their field.
      serializers: { err: (spelledOut: unknown) => spelledOut },
    },
    pretty ? readable(stream, colours) : stream,
  );
  return new PinoLogger(logger);
}

/** pino formats the fields of an event, but not those of a child: a secret among the latter would be printed. */
class PinoLogger implements ParentLogger {
  readonly #pino: Pino;

  constructor(logger: Pino) {
    this.#pino = logger;
  }

  isLevelEnabled(level: "debug"): boolean {
    return this.#pino.isLevelEnabled(level);
  }

  debug(fields: object, message: string): void {
    this.#pino.debug(fields, message);
  }

  info(fields: object, message: string): void {
    this.#pino.info(fields, message);
  }

  warn(fields: object, message: string): void {
    this.#pino.warn(fields, message);
  }

  error(fields: object, message: string): void {
    this.#pino.error(fields, message);
  }

  child(fields: object): ParentLogger {
    return new PinoLogger(this.#pino.child(loggableFields(fields)));
  }
}

function readable(stream: DestinationStream, colours: boolean): DestinationStream {
  const format = prettyFactory({
    colorize: colours,
    singleLine: true,
    translateTime: "SYS:HH:MM:ss.l",
    errorLikeObjectKeys: [],
  });
  return { write: (event) => stream.write(format(event)) };
}
