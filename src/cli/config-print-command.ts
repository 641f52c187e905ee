/** `orca config print [FILE]`: the configuration that a start would use, defaults included. */
import type { CommandContext } from "./command-context.ts";
import { OrcaCommand } from "./orca-command.ts";

export function configPrintCommand({ env, stdout, stderr }: CommandContext): OrcaCommand {
  return new OrcaCommand("print", "Print the effective configuration, without secrets")
    .details("Prints every setting, whether it comes from FILE, from the environment or from a default.")
    .argument("[FILE]", "The configuration, in YAML [default: the environment alone]")
    .option("--json", "Print JSON in place of YAML", false)
    .withExamples(
      "orca config print /etc/orca/orca.yaml",
      "orca config print orca.yaml --json",
      "ORCA_ORIGIN_ID=data ORCA_ORIGIN_DRIVER=file ORCA_ORIGIN_FILE_ROOT=/srv orca config print",
    )
    .runs(async ({ json }: { readonly json: boolean }, file: string | undefined) => {
      const { configPrint } = await import("./config-report.ts");
      return configPrint({ file, json, env, stdout, stderr });
    });
}
