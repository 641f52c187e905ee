/** `orca` run as a function: its arguments in; its exit code and what it wrote out. */
import { SeededRandom } from "../../src/base/random.ts";
import type { CommandContext } from "../../src/cli/command-context.ts";
import { commandLine, runCommandLine } from "../../src/cli/command-line.ts";
import type { OrcaCommand } from "../../src/cli/orca-command.ts";
import { FakeClock } from "./fake-clock.ts";
import type { CommandOutcome } from "./ops-command.ts";

/** Fails the test that lets a command run on, or that meets an error nobody caught. */
function contextFor(written: { stdout: string; stderr: string }): CommandContext {
  return {
    env: {},
    clock: new FakeClock(),
    random: new SeededRandom(1),
    configFile: "/none/config.yaml",
    stdout: { write: (text) => void (written.stdout += text) },
    stderr: { write: (text) => void (written.stderr += text) },
    stopSignal: () => Promise.reject(new Error("no signal is scripted")),
    reportUncaught: () => {},
  };
}

export async function runOrca(
  args: readonly string[],
  overrides: Partial<CommandContext> = {},
): Promise<CommandOutcome> {
  const written = { stdout: "", stderr: "" };
  const exitCode = await runCommandLine(args, { ...contextFor(written), ...overrides });
  return { exitCode, ...written };
}

/** Every command, groups and `orca` itself included. */
export function declaredCommands(): OrcaCommand[] {
  const below = (command: OrcaCommand): OrcaCommand[] => [
    command,
    ...command.commands.flatMap((child) => below(child as OrcaCommand)),
  ];
  return below(commandLine(contextFor({ stdout: "", stderr: "" })));
}
