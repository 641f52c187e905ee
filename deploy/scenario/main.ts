/** `npm run scenario`: argv, environment, signals and exit code. It needs Azurite, so it is outside `src/`, as the demo. */
import { join } from "node:path";
import process from "node:process";
import { SystemClock } from "../../src/base/clock.ts";
import { SystemRandom } from "../../src/base/random.ts";
import { runCommandLine } from "../../src/cli/command-line.ts";
import { stopSignal } from "../stop-signal.ts";
import { scenarioCommand } from "./scenario-command.ts";

const context = {
  env: process.env,
  clock: new SystemClock(),
  random: new SystemRandom(),
  execPath: process.execPath,
  mainPath: join(import.meta.dirname, "../../src/main.ts"),
  stdout: process.stdout,
  stderr: process.stderr,
  stopSignal,
  reportUncaught: () => {},
};
process.exitCode = await runCommandLine(process.argv.slice(2), context, scenarioCommand(context));
