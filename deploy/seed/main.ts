/**
 * `npm run seed`: argv, environment, signals and exit code. It is outside `src/` because it writes, which Orca never
 * does, and needs the pattern of the tests and a client of Azure that are no part of Orca.
 */
import process from "node:process";
import { SystemClock } from "../../src/base/clock.ts";
import { SystemRandom } from "../../src/base/random.ts";
import { runCommandLine } from "../../src/cli/command-line.ts";
import { stopSignal } from "../stop-signal.ts";
import { seedCommand } from "./seed-command.ts";

const context = {
  env: process.env,
  clock: new SystemClock(),
  random: new SystemRandom(),
  stdout: process.stdout,
  stderr: process.stderr,
  stopSignal,
  reportUncaught: () => {},
};
process.exitCode = await runCommandLine(process.argv.slice(2), context, seedCommand(context));
