/**
 * `orca config check [FILE]`: every fault of a configuration at once, and on demand whether its origins can be read;
 * `orca config print [FILE]`: the configuration that a start would use, defaults included.
 */
import type { CommandContext } from "./command-context.ts";
import { OrcaCommand } from "./orca-command.ts";
import { usualConfigFile } from "./serve-command.ts";

interface CheckFlags {
  readonly connect: boolean;
  readonly files: boolean;
  readonly json: boolean;
}

export function configCheckCommand({
  env,
  clock,
  random,
  stdout,
  stderr,
  configFile = usualConfigFile,
}: CommandContext): OrcaCommand {
  return new OrcaCommand("check", "Report every fault of a configuration file")
    .details(
      "Counts the environment in, as orca serve does. Warns of limits that do not hold together. Exits with 0 if all is well, with 1 for a fault or for a bucket that cannot be read.",
    )
    .argument("[FILE]", `The configuration, in YAML [default: ${usualConfigFile}]`)
    .option(
      "--connect",
      "Also look at each bucket of the origins, with the credentials of this environment",
      false,
    )
    .option("--no-files", "Do not read the certificates, keys and secrets that are named")
    .option("--json", "Print JSON", false)
    .withExamples(
      "orca config check /etc/orca/config.yaml",
      "orca config check --connect /etc/orca/config.yaml",
      "ORCA_MEMORY_MAX_BYTES=4GiB orca config check orca.yaml",
    )
    .runs(async (flags: CheckFlags, file: string = configFile) => {
      const { configCheck } = await import("./config-check.ts");
      return configCheck({ ...flags, file, env, clock, random, stdout, stderr });
    });
}

export function configPrintCommand({ env, stdout, stderr }: CommandContext): OrcaCommand {
  return new OrcaCommand("print", "Print the effective configuration, without secrets")
    .details("Prints every setting, whether it comes from FILE, from the environment or from a default.")
    .argument("[FILE]", "The configuration, in YAML [default: the environment alone]")
    .option("--json", "Print JSON in place of YAML", false)
    .withExamples(
      "orca config print /etc/orca/config.yaml",
      "orca config print orca.yaml --json",
      "ORCA_ORIGIN_ID=data ORCA_ORIGIN_DRIVER=file ORCA_ORIGIN_FILE_ROOT=/srv orca config print",
    )
    .runs(async ({ json }: { readonly json: boolean }, file: string | undefined) => {
      const { configPrint } = await import("./config-report.ts");
      return configPrint({ file, json, env, stdout, stderr });
    });
}
