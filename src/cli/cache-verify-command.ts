/** `orca cache verify`: starts the scrub of one replica's disk, or joins it, and shows its progress. */
import { InvalidArgumentError } from "commander";
import { parseBytes } from "../base/units.ts";
import type { VerifyDocument } from "../ops/endpoints/cache-endpoints.ts";
import { verifyReport } from "./cache-report.ts";
import { isScrub } from "./cache-stats-command.ts";
import type { CommandContext, TerminalOutput } from "./command-context.ts";
import {
  type OpsCommandOptions,
  type OpsFlags,
  parseAnswer,
  readLines,
  withOps,
  withOpsOptions,
} from "./ops-call.ts";
import { OrcaCommand } from "./orca-command.ts";
import { Progress } from "./progress.ts";

interface VerifyFlags extends OpsFlags {
  /** Bytes a second. */
  readonly rate?: number;
}

export function cacheVerifyCommand({ clock, stdout, stderr }: CommandContext): OrcaCommand {
  const command = new OrcaCommand("verify", "Check the chunks on a replica's disk, and delete damaged ones")
    .details(
      "Reads the whole disk cache, as the replica does by itself once per disk.scrub_interval. Ctrl-C leaves the check running.",
    )
    .optionWithDefault("--rate <SIZE>", "Read SIZE a second", "64MiB", parseRate);
  return withOpsOptions(command)
    .withExamples(
      "orca cache verify",
      "orca cache verify --rate 200MiB",
      "orca cache verify --ops http://cache-2.example.com:8442 --json",
    )
    .runs(({ rate, ...flags }: VerifyFlags) =>
      cacheVerify({ ...flags, rateBytes: rate, progress: stderr, clock, stdout, stderr }),
    );
}

function parseRate(text: string): number {
  const bytes = parseBytes(text);
  if (bytes === undefined) throw new InvalidArgumentError("expected a size such as 64MiB");
  return bytes;
}

export interface CacheVerifyOptions extends OpsCommandOptions {
  /** Bytes a second; without it, the replica keeps its own rate. */
  readonly rateBytes?: number | undefined;
  /** Where the bar is drawn. */
  readonly progress: TerminalOutput;
}

/** Between two lines; one comes twice a second. */
const lineTimeoutMs = 15_000;

/**
 * Resolves with the exit code when the pass has ended: 0 if it finished, also with bad chunks, since those are deleted and
 * come back from the origin; 1 if it did not finish.
 */
export function cacheVerify(options: CacheVerifyOptions): Promise<number> {
  const { rateBytes, json, clock, stdout, stderr, progress } = options;
  const call = {
    path: "/cache/verify",
    action: "verify",
    query: rateBytes === undefined ? {} : { bytes_per_second: String(rateBytes) },
  };
  return withOps(
    "verify the cache of",
    call,
    { ...options, timeoutMs: options.timeoutMs ?? lineTimeoutMs },
    async (url, deadline) => {
      let bar: Progress | undefined;
      let last: VerifyDocument | undefined;
      for await (const line of readLines(url, call, deadline)) {
        last = parseAnswer(line, isVerify);
        if (json) {
          stdout.write(`${line}\n`);
          continue;
        }
        if (!bar) progress.write("The scrub runs in the background: Ctrl-C ends this command only.\n");
        bar ??= new Progress({ label: "verify", totalBytes: last.total_bytes, output: progress, clock });
        bar.add(last.checked_bytes - bar.doneBytes);
      }
      bar?.finish();
      if (!last) throw new Error("it answers nothing");
      if (!json) stdout.write(verifyReport(last));
      if (last.state === "complete") return 0;
      if (json) stderr.write(verifyReport(last));
      return 1;
    },
  );
}

function isVerify(value: unknown): value is VerifyDocument {
  return isScrub(value) && Array.isArray(value["not_covered"]);
}
