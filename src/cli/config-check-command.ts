/** `orca config check FILE`: every fault of a configuration at once. */
import type { CommandContext } from "./command-context.ts";
import { OrcaCommand } from "./orca-command.ts";

export function configCheckCommand({ env, stdout, stderr }: CommandContext): OrcaCommand {
  return new OrcaCommand("check", "Report every fault of a configuration file")
    .details(
      "Counts the environment in, as orca serve does. Exits with 0 for a valid configuration, else with 1. Warns of limits that do not hold together.",
    )
    .argument("<FILE>", "The configuration, in YAML")
    .withExamples(
      "orca config check /etc/orca/orca.yaml",
      "ORCA_MEMORY_MAX_BYTES=4GiB orca config check orca.yaml",
    )
    .runs(async (_, file: string) => {
      const { configCheck } = await import("./config-report.ts");
      return configCheck({ file, env, stdout, stderr });
    });
}
