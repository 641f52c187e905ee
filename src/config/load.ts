/**
 * Loads a Config from a file, the environment and the command line, or throws one error that lists every fault: nobody
 * should have to start Orca once for each fault. The command line overrides the environment, which overrides the file.
 */
import { readFileSync } from "node:fs";
import { OrcaError } from "../base/orca-error.ts";
import { checkSettings } from "./checks.ts";
import { type Config, configFrom } from "./config.ts";
import { checkDiskShares } from "./disk-shares.ts";
import { type Fault, reasonOf } from "./fault.ts";
import { isAbsent, isMap, ownValue } from "./field.ts";
import { checkOriginsApart } from "./origins-apart.ts";
import { type Override, podAddress, readOverrides } from "./overrides.ts";
import { schema } from "./schema.ts";
import { type Environment, readSecrets } from "./secret.ts";
import { parseYaml } from "./yaml-text.ts";

/** Settings under their YAML keys. */
export type SettingsTree = Readonly<Record<string, unknown>>;

export interface ConfigSources {
  /** Path of a YAML file. */
  readonly file?: string | undefined;
  readonly env: Environment;
  /** From the command line. */
  readonly overrides?: SettingsTree;
  /**
   * Whether certificates, keys and secrets are read, and symbolic links followed; true by default. A check on another
   * machine than the replica's does without.
   */
  readonly readsFiles?: boolean;
}

/** @throws OrcaError `config_invalid`, whose message lists every fault on a line of its own. */
export function loadConfig({ file, env, overrides = {}, readsFiles = true }: ConfigSources): Config {
  const faults: Fault[] = [];
  const fromFile = file === undefined ? undefined : readTree(file, faults);
  // A file that is not YAML has no settings. Reporting each of them as missing would hide the one real fault.
  if (faults.length > 0) throw invalid(faults, file, []);
  const fromEnv = readOverrides(env, faults);
  const ownTree = merged(merged(fromFile, nested(fromEnv)), overrides);
  const fallbacks = podAddress(env).filter(({ path }) => !isSet(ownTree, path));
  const tree = merged(nested(fallbacks), ownTree);
  const settings = schema.read(tree, "", faults);
  const secrets = readSecrets(env, readsFiles ? readText : () => "not read", faults);
  const config = configFrom(settings, secrets, faults);
  const isWritten = (path: string): boolean => isSet(tree, path);
  checkSettings(settings, isWritten, readsFiles ? readText : undefined, faults);
  checkDiskShares(config, settings.origin ? "origin" : "origins", isWritten, faults);
  checkOriginsApart(config, readsFiles, faults);
  if (faults.length > 0) throw invalid(faults, file, [...fromEnv, ...fallbacks]);
  return config;
}

/** Whether anything but nothing is written at `path`. */
function isSet(tree: unknown, path: string): boolean {
  const value = path
    .split(".")
    .reduce((branch, key) => (isMap(branch) ? ownValue(branch, key) : undefined), tree);
  return !isAbsent(value);
}

function readText(path: string): string {
  return readFileSync(path, "utf8");
}

function readTree(file: string, faults: Fault[]): unknown {
  try {
    return parseYaml(readText(file), faults);
  } catch (thrown) {
    faults.push({ path: "", message: `cannot read the file: ${reasonOf(thrown)}` });
    return undefined;
  }
}

/** The tree that holds each override at its path. */
function nested(overrides: readonly Override[]): SettingsTree {
  let tree: SettingsTree = {};
  for (const { path, value } of overrides) {
    const branch = path.split(".").reduceRight<unknown>((inner, key) => ({ [key]: inner }), value);
    tree = merged(tree, branch) as SettingsTree;
  }
  return tree;
}

/**
 * `base` with `over` on top: maps are merged key by key, everything else is replaced. Where `over` has a map and `base`
 * has a scalar, the scalar stays, so that its fault is reported and not hidden.
 */
function merged(base: unknown, over: unknown): unknown {
  if (isMap(base) && isMap(over)) {
    const keys = new Set([...Object.keys(base), ...Object.keys(over)]);
    return Object.fromEntries(
      [...keys].map((key) => [key, merged(ownValue(base, key), ownValue(over, key))]),
    );
  }
  if (isAbsent(over)) return base;
  return isMap(over) && !isAbsent(base) ? base : over;
}

function invalid(
  faults: readonly Fault[],
  file: string | undefined,
  overrides: readonly Override[],
): OrcaError {
  const lines = faults.map(({ path, message }) => {
    const variable = overrides.find((override) => covers(override.path, path))?.variable;
    const place = variable === undefined ? path : `${path} (from ${variable})`;
    return place === "" ? `  ${message}` : `  ${place}: ${message}`;
  });
  const what = file === undefined ? "the configuration" : `configuration "${file}"`;
  const count = faults.length === 1 ? "1 fault" : `${faults.length} faults`;
  return new OrcaError("config_invalid", "config", [`Cannot use ${what}: ${count}`, ...lines].join("\n"));
}

function covers(given: string, path: string): boolean {
  return path === given || path.startsWith(`${given}.`) || path.startsWith(`${given}[`);
}
