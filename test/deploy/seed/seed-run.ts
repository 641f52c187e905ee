/** `npm run seed` run as a function. */

import { seedCommand } from "../../../deploy/seed/seed-command.ts";
import { SystemClock } from "../../../src/base/clock.ts";
import { SystemRandom } from "../../../src/base/random.ts";
import { runCommandLine } from "../../../src/cli/command-line.ts";
import type { CommandOutcome } from "../../support/ops-command.ts";

export async function runSeed(
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<CommandOutcome> {
  const written = { stdout: "", stderr: "" };
  const context = {
    env,
    clock: new SystemClock(),
    random: new SystemRandom(),
    stdout: { write: (text: string) => void (written.stdout += text) },
    stderr: { write: (text: string) => void (written.stderr += text) },
    stopSignal: () => Promise.withResolvers<string>().promise,
    reportUncaught: () => {},
  };
  const exitCode = await runCommandLine(args, context, seedCommand(context));
  return { exitCode, ...written };
}
