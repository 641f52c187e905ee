/** `orca unpin`: ends pins on all replicas. It is answered as a purge is, so purge-command.ts follows it. */
import { Option } from "commander";
import type { CommandContext } from "../command-context.ts";
import { type OpsFlags, withOpsOptions } from "../ops-call.ts";
import { OrcaCommand } from "../orca-command.ts";
import { purge } from "../purge/purge-command.ts";

interface UnpinFlags extends OpsFlags {
  readonly match: "key" | "prefix";
}

export function unpinCommand({ clock, stdout, stderr }: CommandContext): OrcaCommand {
  const command = new OrcaCommand("unpin", "Let all replicas evict pinned objects again")
    .details("What they hold stays until its room is needed. The exit code is 1 if a replica did not do it.")
    .argument("<URL>", "The objects, as s3://BUCKET/PREFIX: all whose keys begin with PREFIX")
    .addOption(
      new Option(
        "--match <WHAT>",
        "Unpin the object whose whole key is PREFIX (key), or all whose keys begin with it (prefix)",
      )
        .choices(["key", "prefix"])
        .default("prefix"),
    );
  return withOpsOptions(command)
    .withExamples("orca unpin s3://models/llama/", "orca unpin s3://models/llama/weights.bin --match key")
    .runs((flags: UnpinFlags, url: string) =>
      purge({ ...flags, url, unpins: true, stale: false, cachestore: false, clock, stdout, stderr }),
    );
}
