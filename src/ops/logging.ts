/**
 * The log of the process: one JSON document per line for machines, or one readable line for a person at a terminal. Lines
 * go through a bounded buffer (log-buffer.ts), so that a log that cannot be written holds nothing up. The other parts see
 * only the `Logger` of base/; only this file knows pino.
 */
import { isatty } from "node:tty";
import { type DestinationStream, type Logger as Pino, pino } from "pino";
import { prettyFactory } from "pino-pretty";
import type { Clock } from "../base/clock.ts";
import type { Logger } from "../base/logger.ts";
import { LogBuffer } from "./log-buffer.ts";
import { type Levelled, type LogLevel, LogLevelControl } from "./log-level.ts";
import { logOutput } from "./log-output.ts";
import { loggableFields } from "./loggable.ts";

export interface ParentLogger extends Logger {
  /** A logger that adds `fields` to each of its events, such as `{ requestId }`. */
  child(fields: object): ParentLogger;
}

/** A stream, or anything else with its `write`. */
export interface LogStream extends DestinationStream {
  readonly isTTY?: boolean;
}

export interface LogOptions {
  readonly level: LogLevel;
  readonly clock: Clock;
  /** In place of standard output, without a buffer. */
  readonly stream?: LogStream;
  /** Print one readable line per event instead of JSON, with colours if the stream is a terminal. */
  readonly pretty: boolean;
}

const standardOutputFd = 1;

/** How long the end of the process waits for the reader of the log. */
const closeTimeoutMs = 2000;

export class Log {
  readonly logger: ParentLogger;
  /** For the access log, whose lines appear at every level. Its fields are printed as they are: flat, and without secrets. */
  readonly access: Pick<Logger, "info">;
  readonly level: LogLevelControl;
  readonly #buffer: LogBuffer | undefined;

  constructor(options: LogOptions) {
    const { clock, pretty, stream } = options;
    const onGap = (lines: number, reason: string): void =>
      // At the highest level, so that no setting hides it.
      logger.error(
        { lines, reason: reason || "the reader is slow" },
        "Dropped lines of the log here: it could not be written",
      );
    const buffer = new LogBuffer({ output: logOutput(standardOutputFd), clock, onGap });
    const destination = stream ?? buffer;
    const colours = stream ? stream.isTTY === true : isatty(standardOutputFd);
    const root = pinoOf(options, pretty ? readable(destination, colours) : destination);
    const threshold = new Threshold(root);
    const logger = new PinoLogger(root, threshold);
    this.logger = logger;
    this.level = new LogLevelControl(options.level, threshold, clock, () =>
      logger.info({ level: options.level }, "The log is back at its configured level"),
    );
    const spare = stream ?? { write: (line: string) => buffer.writeSpare(line) };
    this.access = accessLogger(clock, pretty ? readable(spare, colours) : spare);
    this.#buffer = stream ? undefined : buffer;
  }

  /** Lines that were dropped because the log could not be written. */
  get linesDropped(): number {
    return this.#buffer?.stats.linesDropped ?? 0;
  }

  /** Lines of the access log that were dropped because the buffer was half full. */
  get accessLinesDropped(): number {
    return this.#buffer?.stats.spareLinesDropped ?? 0;
  }

  /**
   * Waits until all is written, for a few seconds at most. Resolves with what to tell a person otherwise. Nothing may be
   * logged afterwards.
   */
  async close(): Promise<string | undefined> {
    this.level.reset();
    await this.#buffer?.flush(closeTimeoutMs);
    this.#buffer?.close();
    return this.#unwritten();
  }

  /**
   * Logs `error`, a bug after which the process ends, before it returns if the log can be written. Returns what to tell a
   * person otherwise.
   */
  reportBug(error: Error): string | undefined {
    this.#buffer?.writeThrough();
    this.logger.error({ error, stack: error.stack }, "Orca met a bug and ends. Please report this line.");
    const unwritten = this.#unwritten();
    return unwritten && `${unwritten}\n${error.stack}`;
  }

  #unwritten(): string | undefined {
    const { pendingLines, lastError } = this.#buffer ?? { pendingLines: 0, lastError: "" };
    if (pendingLines === 0) return undefined;
    return `Cannot write the last ${pendingLines} lines of the log: ${lastError || "it takes too long"}`;
  }
}

/** A line a request: without pino, which takes three times as long to write the same. */
function accessLogger(clock: Clock, destination: DestinationStream): Pick<Logger, "info"> {
  return {
    info: (fields, message) => {
      const time = new Date(clock.now()).toISOString();
      const body = JSON.stringify(fields).slice(1, -1);
      destination.write(`{"level":"info","time":"${time}",${body},"msg":${JSON.stringify(message)}}\n`);
    },
  };
}

function pinoOf({ level, clock }: LogOptions, destination: DestinationStream): Pino {
  return pino(
    {
      level,
      base: null,
      timestamp: () => `,"time":"${new Date(clock.now()).toISOString()}"`,
      formatters: { level: (label) => ({ level: label }), log: loggableFields },
      // loggableFields has already spelled out errors, in all fields.
      serializers: { err: (spelledOut: unknown) => spelledOut },
    },
    destination,
  );
}

/** The level of pino, and whether it lets debug events through. That is one boolean, because the hot path reads it. */
class Threshold implements Levelled {
  isDebug: boolean;
  readonly #pino: Pino;

  constructor(logger: Pino) {
    this.#pino = logger;
    this.isDebug = logger.level === "debug";
  }

  get level(): string {
    return this.#pino.level;
  }

  set level(level: string) {
    this.#pino.level = level;
    this.isDebug = level === "debug";
  }
}

/** A child adds its fields itself: one of pino's would keep the level that its parent had. */
class PinoLogger implements ParentLogger {
  readonly #pino: Pino;
  readonly #threshold: Threshold;
  readonly #fields: object | undefined;

  constructor(logger: Pino, threshold: Threshold, fields?: object) {
    this.#pino = logger;
    this.#threshold = threshold;
    this.#fields = fields;
  }

  get isDebug(): boolean {
    return this.#threshold.isDebug;
  }

  debug(fields: object, message: string): void {
    this.#pino.debug(this.#with(fields), message);
  }

  info(fields: object, message: string): void {
    this.#pino.info(this.#with(fields), message);
  }

  warn(fields: object, message: string): void {
    this.#pino.warn(this.#with(fields), message);
  }

  error(fields: object, message: string): void {
    this.#pino.error(this.#with(fields), message);
  }

  child(fields: object): ParentLogger {
    return new PinoLogger(this.#pino, this.#threshold, this.#with(fields));
  }

  #with(fields: object): object {
    return this.#fields ? { ...this.#fields, ...fields } : fields;
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
