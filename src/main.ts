/**
 * The process of `orca`: argv, environment, signals and exit code. It is the only file that touches `process`, so that a
 * test can run every command as a function.
 */
import process from "node:process";
import { SystemClock } from "./base/clock.ts";
import { SystemRandom } from "./base/random.ts";
import { bugExitCode, runCommandLine } from "./cli/command-line.ts";

/** Resolves with the first signal that asks the process to stop. A second one ends the process at once. */
function stopSignal(): Promise<string> {
  const { promise, resolve } = Promise.withResolvers<string>();
  let asked = false;
  for (const signal of ["SIGTERM", "SIGINT"] as const) {
    process.on(signal, () => {
      if (asked) process.exit(128 + (signal === "SIGINT" ? 2 : 15));
      asked = true;
      resolve(signal);
    });
  }
  return promise;
}

/** After an error that nothing caught, the state of the process is unknown, so it ends. */
function reportUncaught(report: (error: Error) => void): void {
  process.on("uncaughtException", (error) => {
    report(error);
    process.exit(bugExitCode);
  });
}

process.exitCode = await runCommandLine(process.argv.slice(2), {
  env: process.env,
  clock: new SystemClock(),
  random: new SystemRandom(),
  stdout: process.stdout,
  stderr: process.stderr,
  stopSignal,
  reportUncaught,
});
