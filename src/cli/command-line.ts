/**
 * The command line of Orca: all commands put together, and one run of it. A command is declared in a file of its own. Its
 * action imports what it needs when it runs, so that `orca --version` and a mistyped option load no replica.
 */
import { CommanderError, type OutputConfiguration } from "commander";
import { OrcaError } from "../base/orca-error.ts";
import { cacheClearCommand } from "./cache-clear-command.ts";
import { cacheStatsCommand } from "./cache-stats-command.ts";
import { cacheVerifyCommand } from "./cache-verify-command.ts";
import { certsCommand } from "./certs-command.ts";
import type { CommandContext } from "./command-context.ts";
import { completionCommand } from "./completion-command.ts";
import { configCheckCommand, configPrintCommand } from "./config-command.ts";
import { tokenCommand } from "./credentials/token-command.ts";
import { doctorCommand } from "./doctor/doctor-command.ts";
import { explainCommand } from "./explain/explain-command.ts";
import { topCommand } from "./figures/top-command.ts";
import { helpCommand } from "./help-command.ts";
import { inspectCommand } from "./inspect/inspect-command.ts";
import { logLevelCommand } from "./log-level-command.ts";
import { OrcaCommand, version } from "./orca-command.ts";
import { pinsCommand } from "./pins/pins-command.ts";
import { unpinCommand } from "./pins/unpin-command.ts";
import { profileCommand } from "./profile/profile-command.ts";
import { purgeCommand } from "./purge/purge-command.ts";
import { serveCommand } from "./serve-command.ts";
import { statusCommand } from "./status-command.ts";
import { UsageError } from "./usage-error.ts";
import { verifyReadsCommand } from "./verify/verify-reads-command.ts";
import { warmCommand } from "./warm/warm-command.ts";

/** What did not work: a bad configuration, a replica that does not answer. */
export const failureExitCode = 1;
/** The command line was wrong. */
const usageExitCode = 2;
/** EX_SOFTWARE of sysexits.h. */
export const bugExitCode = 70;

/** Lines longer than this are hard to read, however wide the terminal is. */
const helpColumnsMax = 100;
const helpColumnsDefault = 80;

/**
 * Runs the command that `args` name. Resolves with the exit code; what went wrong is on stderr by then. `root` is another
 * program with the manners of `orca`.
 */
export async function runCommandLine(
  args: readonly string[],
  context: CommandContext,
  root: OrcaCommand = commandLine(context),
): Promise<number> {
  let exitCode = 0;
  root.hook("postAction", (_, command) => {
    exitCode = (command as OrcaCommand).exitCode;
  });
  direct(root, outputOf(context));
  const isBare = args.length === 0 && root.commands.length > 0;
  try {
    await root.parseAsync(isBare ? ["help"] : args, { from: "user" });
    return exitCode;
  } catch (thrown) {
    if (thrown instanceof CommanderError) return thrown.code === "commander.help" ? usageExitCode : 0;
    const known = thrown instanceof UsageError || thrown instanceof OrcaError;
    context.stderr.write(`${root.name()}: ${known ? thrown.message : bugReport(thrown)}\n`);
    if (!known) return bugExitCode;
    return thrown instanceof UsageError ? usageExitCode : failureExitCode;
  }
}

/** `orca`, with all commands below it. */
export function commandLine(context: CommandContext): OrcaCommand {
  const root = new OrcaCommand("orca", "Run and look into Orca, a read-only S3 origin cache")
    .usage("COMMAND [options]")
    .version(version, "--version", "Print the version")
    .addHelpText("after", environmentHelp)
    .withExamples(
      "orca serve --config /etc/orca/config.yaml",
      "orca help cache verify",
      "source <(orca completion bash)",
    );
  root
    .addCommand(serveCommand(context))
    .addCommand(
      new OrcaCommand("config", "Check and print a configuration")
        .usage("COMMAND [options]")
        .addCommand(configCheckCommand(context))
        .addCommand(configPrintCommand(context)),
    )
    .addCommand(doctorCommand(context))
    .addCommand(certsCommand(context))
    .addCommand(tokenCommand(context))
    .addCommand(statusCommand(context))
    .addCommand(topCommand(context))
    .addCommand(inspectCommand(context))
    .addCommand(explainCommand(context))
    .addCommand(verifyReadsCommand(context))
    .addCommand(
      new OrcaCommand("cache", "Show, check and clear the cache of a replica")
        .usage("COMMAND [options]")
        .addCommand(cacheStatsCommand(context))
        .addCommand(cacheVerifyCommand(context))
        .addCommand(cacheClearCommand(context)),
    )
    .addCommand(warmCommand(context))
    .addCommand(pinsCommand(context))
    .addCommand(unpinCommand(context))
    .addCommand(purgeCommand(context))
    .addCommand(logLevelCommand(context))
    .addCommand(profileCommand(context))
    .addCommand(completionCommand(context))
    .addCommand(helpCommand());
  return root;
}

const environmentHelp = `
Environment:
  Every setting can come from a variable: ORCA_MEMORY_MAX_BYTES=4GiB sets memory.max_bytes.
  Credentials come from ORCA_AWSS3_ACCESS_KEY and ORCA_AWSS3_SECRET_KEY, from
  ORCA_AZUREBLOB_ACCOUNT_KEY, or from where the SDKs of AWS and Azure find them.`;

function outputOf({ stdout, stderr }: CommandContext): OutputConfiguration {
  return {
    writeOut: (text) => void stdout.write(text),
    writeErr: (text) => void stderr.write(text),
    // runCommandLine reports the error it catches.
    outputError: () => {},
    getOutHelpWidth: () => helpColumns(stdout.columns),
    getErrHelpWidth: () => helpColumns(stderr.columns),
    getOutHasColors: () => false,
    getErrHasColors: () => false,
  };
}

function helpColumns(columns = helpColumnsDefault): number {
  return Math.min(columns, helpColumnsMax);
}

/** A command that is added, rather than made by its parent, inherits nothing from it. */
function direct(command: OrcaCommand, output: OutputConfiguration): void {
  command.configureOutput(output);
  for (const child of command.commands) direct(child as OrcaCommand, output);
}

function bugReport(thrown: unknown): string {
  const stack = thrown instanceof Error ? thrown.stack : String(thrown);
  return `met a bug. Please report these lines:\n${stack}`;
}
