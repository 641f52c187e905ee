/**
 * What `npm run scenario` does: it starts the cluster of the demo, runs scenarios on it one after the other, and prints
 * for each what it expects and what it saw. Each has a time limit, so that it never hangs.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Clock } from "../../src/base/clock.ts";
import { OrcaError } from "../../src/base/orca-error.ts";
import type { CommandContext, TextOutput } from "../../src/cli/command-context.ts";
import { OrcaCommand } from "../../src/cli/orca-command.ts";
import { counted, formatTable } from "../../src/cli/table.ts";
import { DemoCluster } from "../demo/demo-cluster.ts";
import { DemoOrigin } from "../demo/demo-origin.ts";
import { type Check, Checks, type Scenario, type ScenarioStage } from "./scenario.ts";
import { scenarioBuckets, scenarios } from "./scenarios.ts";

export interface ScenarioContext extends CommandContext {
  readonly execPath: string;
  /** The main module of `orca`. */
  readonly mainPath: string;
}

const scenarioTimeoutMs = 30_000;

export function scenarioCommand(context: ScenarioContext): OrcaCommand {
  const names = scenarios.map(({ name, summary }) => `  ${name.padEnd(14)}${summary}`);
  return new OrcaCommand(
    "npm run scenario --",
    "Run scenarios on a cluster of three replicas in front of Azurite",
  )
    .usage("[NAME...] [options]")
    .details(
      `Prints what each scenario expects and what it saw. Exits with 1 if they differ. NAME is one of\n${names.join("\n")}`,
    )
    .argument("[NAME...]", "The scenarios to run [default: all of them]")
    .option("--json", "Print one line of JSON for each scenario", false)
    .withExamples("npm run scenario", "npm run scenario -- replica-loss", "npm run scenario -- --json")
    .runs(async ({ json }: { readonly json: boolean }, wanted: readonly string[]) => {
      const chosen = chosenOf(wanted);
      return onCluster(context, json, (stage, stopping) =>
        runScenarios(chosen, { ...stage, json, stopping, stdout: context.stdout }),
      );
    });
}

/** @throws OrcaError `invalid_argument` */
function chosenOf(wanted: readonly string[]): readonly Scenario[] {
  const known = scenarios.map(({ name }) => name);
  const unknown = wanted.find((name) => !known.includes(name));
  if (unknown !== undefined) {
    const message = `Cannot run scenario "${unknown}": expected one of ${known.join(", ")}`;
    throw new OrcaError("invalid_argument", "config", message);
  }
  return wanted.length === 0 ? scenarios : scenarios.filter(({ name }) => wanted.includes(name));
}

type Stage = Omit<ScenarioStage, "signal">;

async function onCluster(
  context: ScenarioContext,
  json: boolean,
  run: (stage: Stage, stopping: AbortSignal) => Promise<number>,
): Promise<number> {
  const { clock, env, execPath, mainPath, stdout } = context;
  const folder = mkdtempSync(join(tmpdir(), "orca-scenario-"));
  const stopping = new AbortController();
  const stopped = context.stopSignal().then((): never => {
    const asked = new OrcaError(
      "shutting_down",
      "config",
      "Cannot end the scenarios: a signal asked to stop",
    );
    stopping.abort(asked);
    throw asked;
  });
  stopped.catch(() => {});
  let origin: DemoOrigin | undefined;
  let cluster: DemoCluster | undefined;
  try {
    // The ports of the demo may be taken. Which others are used instead is of no interest here.
    const silent: TextOutput = { write: () => true };
    if (!json) stdout.write("Starting Azurite and three replicas\n");
    // A signal does not end these two starts: a process that begins after its end would stay.
    origin = await DemoOrigin.start({ execPath, env, folder, clock });
    const parts = { origin, execPath, mainPath, env, folder, clock };
    cluster = await DemoCluster.start({ ...parts, stdout: silent, buckets: scenarioBuckets });
    const stage = { origin, cluster, clock };
    const ran = cluster.ready().then(() => run(stage, stopping.signal));
    return await Promise.race([ran, stopped]);
  } finally {
    await Promise.all([cluster?.stop(), origin?.stop()]);
    rmSync(folder, { recursive: true, force: true });
  }
}

export interface ScenarioRun extends Stage {
  readonly json: boolean;
  readonly stopping: AbortSignal;
  readonly stdout: TextOutput;
  /** Of each scenario. */
  readonly timeoutMs?: number;
}

/** Resolves with the exit code: 0, or 1 if one failed. It runs the others all the same. */
export async function runScenarios(chosen: readonly Scenario[], run: ScenarioRun): Promise<number> {
  let failed = 0;
  for (const scenario of chosen) {
    run.stopping.throwIfAborted();
    const { checks, error, seconds } = await runOne(scenario, run);
    const holds = error === undefined && checks.length > 0 && checks.every((check) => check.holds);
    if (!holds) failed += 1;
    const result = { scenario: scenario.name, holds, seconds, checks, error: error ?? null };
    run.stdout.write(run.json ? `${JSON.stringify(result)}\n` : report(scenario, checks, error, seconds));
  }
  if (!run.json) {
    const verdict = failed === 0 ? "all hold" : `${failed} failed`;
    run.stdout.write(`\n${counted(chosen.length, "scenario")}: ${verdict}\n`);
  }
  return failed === 0 ? 0 : 1;
}

async function runOne(
  scenario: Scenario,
  { origin, cluster, clock, stopping, timeoutMs = scenarioTimeoutMs }: ScenarioRun,
): Promise<{ checks: readonly Check[]; error: string | undefined; seconds: number }> {
  const checks = new Checks();
  const startedMs = clock.monotonic();
  const limit = timeLimit(clock, timeoutMs);
  const signal = AbortSignal.any([stopping, limit.signal]);
  let error: string | undefined;
  try {
    const aborted = Promise.withResolvers<never>();
    aborted.promise.catch(() => {});
    signal.addEventListener("abort", () => aborted.reject(signal.reason), { once: true });
    await Promise.race([scenario.run({ origin, cluster, clock, signal }, checks), aborted.promise]);
  } catch (thrown) {
    error = thrown instanceof Error ? thrown.message : String(thrown);
  } finally {
    limit.cancel();
  }
  return { checks: checks.all, error, seconds: (clock.monotonic() - startedMs) / 1000 };
}

function timeLimit(clock: Clock, timeoutMs: number): { signal: AbortSignal; cancel: () => void } {
  const ended = new AbortController();
  const timer = clock.timer(timeoutMs, () => ended.abort(new Error(`it did not end within ${timeoutMs} ms`)));
  return { signal: ended.signal, cancel: () => timer.cancel() };
}

function report(
  { name, summary }: Scenario,
  checks: readonly Check[],
  error: string | undefined,
  seconds: number,
): string {
  const rows = checks.map(({ what, expected, seen, holds }) => [
    what,
    expected,
    seen,
    holds ? "ok" : "FAILED",
  ]);
  const table = formatTable(["", "expected", "saw", ""], rows).replaceAll(/^/gm, "  ");
  const lines = [`\n${name} (${seconds.toFixed(1)} s)`, `  ${summary}`];
  if (checks.length > 0) lines.push(table);
  if (error !== undefined) lines.push(`  FAILED: ${error}`);
  return `${lines.join("\n")}\n`;
}
