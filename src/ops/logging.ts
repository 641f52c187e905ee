/**
 * The log of the process: one JSON document per line for machines, or one readable line for a person at a terminal. Both
 * are written synchronously, so that lines keep their order and the last line before an exit is not lost. The other parts
 * see only the `Logger` of base/; only this file knows pino.
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

/** A stream, or anything else with its `write`. */
export interface LogStream extends DestinationStream {
  readonly isTTY?: boolean;
}

export interface LoggerOptions {
  readonly level: LogLevel;
  readonly clock: Clock;
  /** Standard output by default. */
  readonly stream?: LogStream;
  /** Print one readable line per event instead of JSON, with colours if the stream is a terminal. */
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
      // loggableFields has already spelled out errors, in all fields.
      serializers: { err: (spelledOut: unknown) => spelledOut },
    },
    pretty ? readable(stream, colours) : stream,
  );
  return new PinoLogger(logger);
}

/** pino formats the fields of an event, but not those of a child logger, so this class hides secrets in those itself. */
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
