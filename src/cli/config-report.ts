/**
 * What the next start would make of a configuration, without a start. It includes the environment that `orca serve` would
 * see, because the variables there are part of the configuration. It stands apart from the commands because it imports
 * the whole schema.
 */
import { stringify } from "yaml";
import { OrcaError } from "../base/orca-error.ts";
import { formatBytes } from "../base/units.ts";
import { type Config, treeOf } from "../config/config.ts";
import { loadConfig } from "../config/load.ts";
import { type Environment, type Secrets, secretNames, secretVariables } from "../config/secret.ts";
import type { TextOutput } from "./command-context.ts";

export interface ConfigReportOptions {
  /** The environment alone when left out. */
  readonly file?: string | undefined;
  readonly env: Environment;
  readonly stdout: TextOutput;
  /** Where faults go. */
  readonly stderr: TextOutput;
}

export interface ConfigPrintOptions extends ConfigReportOptions {
  /** JSON in place of YAML. */
  readonly json: boolean;
}

/** Prints the effective configuration, with defaults and without secrets, in a form that loads as the same one. */
export function configPrint(options: ConfigPrintOptions): number {
  return withConfig(options, (config) => {
    const tree = treeOf(config);
    if (options.json) return `${JSON.stringify(tree, undefined, 2)}\n`;
    return stringify(tree) + secretLines(config.secrets);
  });
}

function withConfig(options: ConfigReportOptions, render: (config: Config) => string): number {
  try {
    options.stdout.write(render(loadConfig({ file: options.file, env: options.env })));
    return 0;
  } catch (thrown) {
    if (!(thrown instanceof OrcaError)) throw thrown;
    options.stderr.write(`${thrown.message}\n`);
    return 1;
  }
}

/** What would be served, in a line. */
export function configSummary({ origins, memory, disk }: Config): string {
  const served = origins.map(
    ({ id, driver, buckets, otherBuckets }) =>
      `"${id}" (${driver}: ${[...buckets.keys(), ...(otherBuckets ? ["*"] : [])].join(", ")})`,
  );
  const kept = disk ? `${formatBytes(disk.maxBytes)} in ${disk.root}` : "none";
  return `origin ${served.join(", ")}; memory ${formatBytes(memory.maxBytes)}; disk ${kept}`;
}

/** The secrets that are set, as comments: a configuration file never holds one. */
function secretLines(secrets: Secrets): string {
  const lines = secretNames
    .filter((name) => secrets[name] !== undefined)
    .map((name) => `# ${secretVariables[name]}=${String(secrets[name])}\n`);
  return lines.length === 0 ? "" : `# From the environment:\n${lines.join("")}`;
}
