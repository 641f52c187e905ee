/**
 * `orca config check FILE` and `orca config print [FILE]`: what the next start would make of a configuration, without
 * starting. Both see the environment that `orca serve` would see, because its variables are part of the configuration.
 */
import { stringify } from "yaml";
import { OrcaError } from "../base/orca-error.ts";
import { formatBytes } from "../base/units.ts";
import { type Config, treeOf } from "../config/config.ts";
import { loadConfig } from "../config/load.ts";
import { type Environment, type Secrets, secretNames, secretVariables } from "../config/secret.ts";

/** What is written to: a stream of the process, or an array in a test. */
export interface TextOutput {
  write(text: string): unknown;
}

export interface ConfigCommandOptions {
  readonly file?: string | undefined;
  readonly env: Environment;
  readonly stdout: TextOutput;
  /** Where faults go. */
  readonly stderr: TextOutput;
}

export interface ConfigPrintOptions extends ConfigCommandOptions {
  /** JSON in place of YAML, for machines. */
  readonly json: boolean;
}

/** One line and exit code 0 for a configuration that can be used, every fault and 1 for any other. */
export function configCheck(options: ConfigCommandOptions): number {
  return withConfig(
    options,
    (config) => `${options.file ?? "The configuration"} is valid: ${summary(config)}\n`,
  );
}

/** The effective configuration, defaults included and secrets hidden, in a form that loads as the same one. */
export function configPrint(options: ConfigPrintOptions): number {
  return withConfig(options, (config) => {
    const tree = treeOf(config);
    if (options.json) return `${JSON.stringify(tree, undefined, 2)}\n`;
    return stringify(tree) + secretLines(config.secrets);
  });
}

function withConfig(options: ConfigCommandOptions, render: (config: Config) => string): number {
  try {
    options.stdout.write(render(loadConfig({ file: options.file, env: options.env })));
    return 0;
  } catch (thrown) {
    if (!(thrown instanceof OrcaError)) throw thrown;
    options.stderr.write(`${thrown.message}\n`);
    return 1;
  }
}

function summary({ origins, memory, disk }: Config): string {
  const served = origins.map(
    ({ id, driver, buckets }) => `"${id}" (${driver}: ${[...buckets.keys()].join(", ")})`,
  );
  const kept = disk ? `${formatBytes(disk.maxBytes)} in ${disk.root}` : "none";
  return `origin ${served.join(", ")}; memory ${formatBytes(memory.maxBytes)}; disk ${kept}`;
}

/** Which secrets are given, as comments: a configuration never holds them. */
function secretLines(secrets: Secrets): string {
  const lines = secretNames
    .filter((name) => secrets[name] !== undefined)
    .map((name) => `# ${secretVariables[name]}=${String(secrets[name])}\n`);
  return lines.length === 0 ? "" : `# From the environment:\n${lines.join("")}`;
}
