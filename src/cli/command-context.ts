/**
 * What a command gets from the process that runs it. src/main.ts makes the one of the real process; a test makes its own
 * and runs a command as a function.
 */
import type { Clock } from "../base/clock.ts";
import type { Random } from "../base/random.ts";
import type { Environment } from "../config/secret.ts";
import type { LogStream } from "../ops/logging.ts";

/** A stream of the process, or a string that a test collects. */
export interface TextOutput {
  write(text: string): unknown;
}

/** The fields of `process.stdout` that decide how text is laid out. */
export interface TerminalOutput extends TextOutput {
  readonly isTTY?: boolean;
  readonly columns?: number;
}

export interface CommandContext {
  readonly env: Environment;
  readonly clock: Clock;
  readonly random: Random;
  readonly stdout: TerminalOutput;
  readonly stderr: TerminalOutput;
  /** What `orca serve` reads where neither `--config` nor `--origin` is given; its usual file when left out. */
  readonly configFile?: string;
  /** Where `orca serve` logs; the standard output of the process when left out. */
  readonly logStream?: LogStream;
  /** Catches the signals that ask the process to stop, from this call on. Resolves with the name of the first one. */
  stopSignal(): Promise<string>;
  /** Calls `report` with an error that nothing caught, then ends the process with the exit code of a bug. */
  reportUncaught(report: (error: Error) => void): void;
}
