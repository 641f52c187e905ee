/**
 * `orca top`: the figures of the cluster in a terminal, drawn anew every few seconds, until a signal stops it. Each
 * refresh is a question of its own: where no replica answers, the reason comes below the last figures, and it asks again.
 */
import { InvalidArgumentError } from "commander";
import { sleep } from "../../base/clock.ts";
import { parseDuration } from "../../base/units.ts";
import type { CommandContext, TerminalOutput } from "../command-context.ts";
import { type OpsCommandOptions, type OpsFlags, withOps, withOpsOptions } from "../ops-call.ts";
import { OrcaCommand } from "../orca-command.ts";
import { figuresCall, readFigures } from "./figures-answer.ts";
import { topReport } from "./figures-report.ts";

interface TopFlags extends OpsFlags {
  readonly once: boolean;
  /** Milliseconds. */
  readonly every?: number;
}

export interface TopOptions extends OpsCommandOptions {
  readonly once: boolean;
  readonly everyMs: number;
  readonly stdout: TerminalOutput;
  /** See {@link CommandContext}. */
  readonly stopSignal: () => Promise<string>;
}

const everyMsDefault = 2000;
const everyMsMin = 1000;

/** Moves the cursor home and clears what is after it, so that nothing flickers. */
const redraw = "\u001b[H\u001b[J";
const clearScreen = "\u001b[2J";

export function topCommand(context: CommandContext): OrcaCommand {
  const { clock, stdout, stderr } = context;
  const command = new OrcaCommand("top", "Show what the cluster does, refreshing")
    .details("The replica that is asked asks the others. Stop it with Ctrl-C.")
    .option("--once", "Print the figures once", false)
    .optionWithDefault("--every <DURATION>", "Refresh every DURATION, 1s or more", "2s", parseEvery);
  return withOpsOptions(command)
    .withExamples(
      "orca top",
      "orca top --once --json",
      "orca top --ops http://cache-2.example.com:8442 --every 5s",
    )
    .runs(({ every: everyMs = everyMsDefault, ...flags }: TopFlags) =>
      top({ ...flags, everyMs, clock, stdout, stderr, stopSignal: () => context.stopSignal() }),
    );
}

function parseEvery(text: string): number {
  const durationMs = parseDuration(text);
  if (durationMs !== undefined && durationMs >= everyMsMin) return durationMs;
  throw new InvalidArgumentError("expected a duration of a second or more, such as 5s");
}

/**
 * Resolves with the exit code: with `once`, 1 if no replica answers; else 0 when a signal came.
 * @throws OrcaError `invalid_argument` for an address that is not valid.
 */
async function top(options: TopOptions): Promise<number> {
  if (options.once) return printOnce(options, "");
  const { clock, stdout, everyMs } = options;
  const stop = new AbortController();
  void options.stopSignal().then(() => stop.abort());
  const isDrawn = stdout.isTTY === true && !options.json;
  if (isDrawn) stdout.write(clearScreen);
  while (!stop.signal.aborted) {
    await printOnce(options, isDrawn ? redraw : "", stop.signal);
    await sleep(clock, everyMs, stop.signal).catch(() => undefined);
  }
  return 0;
}

/**
 * `before` is written with the answer, so that the old one stays until the new one is there. `stop` ends the wait for an
 * answer.
 */
function printOnce(options: TopOptions, before: string, stop?: AbortSignal): Promise<number> {
  return withOps("get the figures from", figuresCall, options, async (url, deadline) => {
    const abort = (): void => deadline.abort(new Error("it was stopped"));
    stop?.addEventListener("abort", abort);
    try {
      const { text, document } = await readFigures(url, deadline);
      options.stdout.write(before + (options.json ? text : topReport(document, url.host)));
    } catch (thrown) {
      if (!stop?.aborted) throw thrown;
    } finally {
      stop?.removeEventListener("abort", abort);
    }
    return 0;
  });
}
