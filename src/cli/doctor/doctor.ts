/**
 * What `orca doctor` does: it loads the configuration as the next start would, looks at everything around it once, from
 * this host and with the credentials of this environment, and says of each thing what to do. It changes nothing, but for
 * the objects of the cachestore's self-test, which it deletes, and it may run beside a replica.
 */
import type { Clock } from "../../base/clock.ts";
import type { Logger } from "../../base/logger.ts";
import { OrcaError } from "../../base/orca-error.ts";
import type { Random } from "../../base/random.ts";
import type { Config } from "../../config/config.ts";
import { loadConfig } from "../../config/load.ts";
import type { Environment } from "../../config/secret.ts";
import type { TextOutput } from "../command-context.ts";
import { configSummary } from "../config-report.ts";
import { counted, printable } from "../table.ts";
import { cachestoreFindings } from "./cachestore-findings.ts";
import { certificateFindings } from "./certificate-findings.ts";
import { diskFindings } from "./disk-findings.ts";
import { type DoctorFinding, type FindingStatus, Findings } from "./doctor-finding.ts";
import { type HostLimits, hostLimits, limitFindings } from "./limit-findings.ts";
import { originFindings } from "./origin-findings.ts";
import { peerFindings } from "./peer-findings.ts";

export interface DoctorOptions {
  readonly file: string;
  readonly json: boolean;
  readonly env: Environment;
  readonly clock: Clock;
  readonly random: Random;
  readonly stdout: TextOutput;
  /** Those of this host by default. */
  readonly limits?: HostLimits;
}

/** What the parts would log is said by the findings. */
const silent: Logger = { isDebug: false, debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };

/** Resolves with the exit code: 0, or 1 if there is a problem. */
export async function doctor(options: DoctorOptions): Promise<number> {
  const found = await findingsOf(options);
  const problems = countOf(found, "problem");
  const warnings = countOf(found, "warning");
  if (options.json) {
    options.stdout.write(`${JSON.stringify({ problems, warnings, findings: found }, undefined, 2)}\n`);
  } else options.stdout.write(report(found, problems, warnings));
  return problems === 0 ? 0 : 1;
}

function countOf(found: readonly DoctorFinding[], wanted: FindingStatus): number {
  return found.filter(({ status }) => status === wanted).length;
}

async function findingsOf(options: DoctorOptions): Promise<DoctorFinding[]> {
  const { file, env, clock, random, limits = hostLimits() } = options;
  const findings = new Findings("configuration");
  let config: Config;
  try {
    config = loadConfig({ file, env });
  } catch (thrown) {
    if (!(thrown instanceof OrcaError)) throw thrown;
    const [message = "", ...faults] = thrown.message.split("\n").map((line) => line.trim());
    const remedy =
      "Correct it, or run this with the environment of the replica. docs/configuration.md describes every setting. Nothing else was looked at.";
    return (faults.length > 0 ? faults : [message]).map((fault) => findings.problem(fault, remedy));
  }
  const [origins, cachestore, certificates, peers] = await Promise.all([
    originFindings(config, clock, random),
    cachestoreFindings(config, clock, silent),
    certificateFindings(config, clock, silent),
    peerFindings(config, clock, silent),
  ]);
  return [
    findings.ok(`"${file}" is valid: ${configSummary(config)}`),
    ...limitFindings(config, limits),
    ...diskFindings(config),
    ...origins,
    ...cachestore,
    ...certificates,
    ...peers,
  ];
}

const marks: Readonly<Record<FindingStatus, string>> = {
  ok: "ok     ",
  warning: "WARNING",
  problem: "PROBLEM",
  skipped: "-      ",
};

function report(found: readonly DoctorFinding[], problems: number, warnings: number): string {
  const width = Math.max(...found.map(({ check }) => check.length));
  const lines = found.flatMap(({ check, status, what, remedy }) => {
    const line = `${marks[status]}  ${check.padEnd(width)}  ${printable(what)}`;
    return remedy === "" ? [line] : [line, `${" ".repeat(width + 11)}-> ${printable(remedy)}`];
  });
  const verdict =
    problems + warnings === 0
      ? "Nothing is wrong"
      : `${counted(problems, "problem")}, ${counted(warnings, "warning")}`;
  return `${lines.join("\n")}\n\n${verdict}\n`;
}
