/**
 * Settings from the environment: `ORCA_<PATH>`, where both `.` and `_` of the path are `_`. A name cannot be split back
 * into a path (`MAX_BYTES` is one key, `MEMORY_MAX` is two), so Orca looks it up among the names of all settings. An
 * unknown name is a fault, because a mistyped variable must not be ignored silently.
 */

import { didYouMean } from "./did-you-mean.ts";
import type { Fault } from "./fault.ts";
import { settingRows } from "./schema.ts";
import { type Environment, secretVariableNames } from "./secret.ts";
import { parseYaml } from "./yaml-text.ts";

/** A setting that a variable set. */
export interface Override {
  readonly variable: string;
  readonly path: string;
  readonly value: unknown;
}

interface Target {
  readonly path: string;
  readonly structured: boolean;
}

/**
 * Kubernetes sets variables for each Service in every pod: a Service named `orca` appears as ORCA_SERVICE_HOST,
 * ORCA_PORT_8443_TCP_ADDR and the like. Nobody wrote them, and they mean nothing here
 * (https://kubernetes.io/docs/concepts/services-networking/service/#environment-variables).
 */
const serviceLink =
  /^ORCA_(?:[A-Z0-9_]+_)?(?:SERVICE_HOST|SERVICE_PORT(?:_[A-Z0-9_]+)?|PORT|PORT_\d+_(?:TCP|UDP|SCTP)(?:_(?:ADDR|PORT|PROTO))?)$/;

const targets: ReadonlyMap<string, Target> = new Map([
  ...settingRows()
    // A list, or a map with the user's own names, is set as one value with everything in it.
    .filter(({ path }) => !/\[\]|<name>/.test(path))
    .map((row): [string, Target] => [variableFor(row.path), row]),
  ["ORCA_LOG_LEVEL", { path: "logging.level", structured: false }],
]);

/** `memory.max_bytes` is `ORCA_MEMORY_MAX_BYTES`. */
export function variableFor(path: string): string {
  return `ORCA_${path.replaceAll(".", "_").toUpperCase()}`;
}

/** The settings that `env` sets. An empty or blank variable counts as not set. */
export function readOverrides(env: Environment, faults: Fault[]): Override[] {
  const overrides = new Map<string, Override>();
  for (const [variable, text] of Object.entries(env)) {
    if (!variable.startsWith("ORCA_") || text === undefined || text.trim() === "") continue;
    if (secretVariableNames.includes(variable)) continue;
    const target = targets.get(variable);
    if (target === undefined) {
      if (!serviceLink.test(variable)) faults.push({ path: variable, message: unknownVariable(variable) });
      continue;
    }
    const earlier = overrides.get(target.path);
    if (earlier) {
      const message = `set by both ${earlier.variable} and ${variable}: unset one of them`;
      faults.push({ path: target.path, message });
    }
    const value = target.structured ? parseStructured(variable, text, faults) : text;
    overrides.set(target.path, { variable, path: target.path, value });
  }
  return [...overrides.values()];
}

/** `POD_IP`, as a manifest for the Orca written in Go sets it. Anything else that names this replica's address wins. */
export function podAddress({ POD_IP: address = "" }: Environment): Override[] {
  if (address.trim() === "") return [];
  return [{ variable: "POD_IP", path: "cluster.self_pod_ip", value: address }];
}

function unknownVariable(variable: string): string {
  return `unknown variable: no setting has this name${didYouMean(variable, [...targets.keys(), ...secretVariableNames])}`;
}

/** A list or a map is written as YAML on one line: `[{min_object_size: 1GiB, chunk_size: 64MiB}]`. */
function parseStructured(variable: string, text: string, faults: Fault[]): unknown {
  const problems: Fault[] = [];
  const value = parseYaml(text, problems);
  for (const { message } of problems) faults.push({ path: variable, message });
  return value;
}
