/** `orca log-level`: shows the level of a replica's log, or changes it for some time. */
import { Argument, InvalidArgumentError } from "commander";
import { parseDuration } from "../base/units.ts";
import type { LogLevelDocument } from "../ops/endpoints/log-level-endpoints.ts";
import type { LogLevel } from "../ops/log-level.ts";
import type { CommandContext } from "./command-context.ts";
import { has, type OpsCommandOptions, type OpsFlags, showAnswer, withOpsOptions } from "./ops-call.ts";
import { OrcaCommand } from "./orca-command.ts";

/** Written out here, so that help and completion load no part of a replica. */
const logLevels = ["debug", "info", "warn", "error"] as const satisfies readonly LogLevel[];

interface LogLevelFlags extends OpsFlags {
  /** Milliseconds. */
  readonly for?: number;
}

const forMsDefault = 600_000;
const forMsMax = 3_600_000;

export function logLevelCommand({ clock, stdout, stderr }: CommandContext): OrcaCommand {
  const command = new OrcaCommand(
    "log-level",
    "Show the level of a replica's log, or change it for some time",
  )
    .details("The level of the configuration (logging.level) returns by itself.")
    .optionWithDefault("--for <DURATION>", "Keep LEVEL for DURATION, up to 1h", "10m", parseFor);
  return withOpsOptions(command)
    .addArgument(new Argument("[LEVEL]", "The new level: debug, info, warn or error").choices(logLevels))
    .withExamples("orca log-level", "orca log-level debug --for 10m", "orca log-level info")
    .runs(({ for: forMs = forMsDefault, ...flags }: LogLevelFlags, level: string | undefined) =>
      logLevel({ ...flags, level, forMs, clock, stdout, stderr }),
    );
}

function parseFor(text: string): number {
  const durationMs = parseDuration(text);
  if (durationMs !== undefined && durationMs >= 1000 && durationMs <= forMsMax) return durationMs;
  throw new InvalidArgumentError("expected 1s to 1h, such as 10m");
}

interface LogLevelOptions extends OpsCommandOptions {
  /** Only shows the level when left out. */
  readonly level?: string | undefined;
  readonly forMs: number;
}

/** Resolves with the exit code: 1 if no replica answers, or it denies or rejects the change. */
function logLevel(options: LogLevelOptions): Promise<number> {
  const { level, forMs } = options;
  const path = "/log-level";
  const seconds = String(Math.ceil(forMs / 1000));
  const call = level === undefined ? { path } : { path, action: "log-level", query: { level, seconds } };
  const purpose = level === undefined ? "ask for the log level of" : "change the log level of";
  return showAnswer(purpose, call, options, { isExpected: isLogLevel, report: reportOf });
}

function reportOf({ level, configured, until }: LogLevelDocument): string {
  return until === null ? `${level}\n` : `${level} until ${until}, then ${configured}\n`;
}

function isLogLevel(value: unknown): value is LogLevelDocument {
  return (
    has(value, { level: "string", configured: "string" }) &&
    (value["until"] === null || has(value, { until: "string" }))
  );
}
