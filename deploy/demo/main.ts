/**
 * `npm run demo`: argv, environment, signals and exit code of the demo. It is outside `src/` because it starts Azurite,
 * a development dependency that is not part of Orca.
 */
import { join } from "node:path";
import process from "node:process";
import { SystemClock } from "../../src/base/clock.ts";
import { stopSignal } from "../stop-signal.ts";
import { demo } from "./demo-command.ts";

if (process.argv.length > 2) {
  process.stderr.write("Cannot start the demo: it takes no arguments\n");
  process.exitCode = 2;
} else {
  process.exitCode = await demo({
    clock: new SystemClock(),
    env: process.env,
    execPath: process.execPath,
    mainPath: join(import.meta.dirname, "../../src/main.ts"),
    stdout: process.stdout,
    stopAsked: stopSignal(),
  });
}
