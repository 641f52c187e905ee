/** `orca doctor [FILE]`: everything around a replica that can be wrong before it starts, or while it runs. */
import type { CommandContext } from "../command-context.ts";
import { OrcaCommand } from "../orca-command.ts";
import { usualConfigFile } from "../serve-command.ts";

export function doctorCommand({
  env,
  clock,
  random,
  stdout,
  configFile = usualConfigFile,
}: CommandContext): OrcaCommand {
  return new OrcaCommand("doctor", "Find what is wrong around a replica, and say what to do")
    .details(
      "Looks at the configuration, the limits of this host, the disk, each bucket of the origins, the clocks, the cachestore, the certificates and the peers, from this host and with the credentials of this environment. It may run beside a replica. Exits with 1 if there is a problem; a warning is none.",
    )
    .argument("[FILE]", `The configuration, in YAML [default: ${usualConfigFile}]`)
    .option("--json", "Print JSON", false)
    .withExamples("orca doctor", "orca doctor --json orca.yaml")
    .runs(async ({ json }: { readonly json: boolean }, file: string = configFile) => {
      const { doctor } = await import("./doctor.ts");
      return doctor({ file, json, env, clock, random, stdout });
    });
}
