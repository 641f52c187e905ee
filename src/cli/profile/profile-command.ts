/** `orca profile cpu` and `orca profile heap`: a profile of each thread of a replica, in files that Chrome DevTools loads. */
import { mkdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { InvalidArgumentError } from "commander";
import { OrcaError } from "../../base/orca-error.ts";
import { MiB, parseDuration } from "../../base/units.ts";
import type { ProfileKind } from "../../ops/profile/profiler.ts";
import type { CommandContext } from "../command-context.ts";
import {
  has,
  hasEach,
  type OpsCommandOptions,
  type OpsFlags,
  parseAnswer,
  readAnswer,
  withOps,
  withOpsOptions,
} from "../ops-call.ts";
import { OrcaCommand } from "../orca-command.ts";
import { faultsReport, type ProfileAnswer, profileReport, type WrittenProfile } from "./profile-report.ts";

interface ProfileFlags extends OpsFlags {
  /** Milliseconds. */
  readonly for?: number;
  readonly thread?: string;
  readonly out?: string;
}

const forMsDefault = 10_000;
const forMsMax = 60_000;

/** The replica sends no more. */
const profileBytesMax = 65 * MiB;

/** The replica gives its threads 5 s to answer. The rest is to put the profiles together, and to send them. */
const patienceMs = 35_000;

export function profileCommand(context: CommandContext): OrcaCommand {
  return new OrcaCommand("profile", "Profile a running replica")
    .usage("COMMAND [options]")
    .addCommand(kindCommand(context, "cpu", "Record where a replica spends its time"))
    .addCommand(kindCommand(context, "heap", "Record what allocates the memory that a replica holds"));
}

function kindCommand(
  { clock, stdout, stderr }: CommandContext,
  kind: ProfileKind,
  summary: string,
): OrcaCommand {
  const tab = kind === "cpu" ? "Performance" : "Memory";
  const command = new OrcaCommand(kind, summary)
    .details(
      `Writes a file for each thread, for the tab ${tab} of Chrome DevTools, and shows the share of each thread. Needs the token of server.ops_token_file. A replica takes one profile at a time.`,
    )
    .optionWithDefault("--for <DURATION>", "Record for DURATION, up to 1m", "10s", parseFor)
    .optionWithDefault(
      "--thread <NAME>",
      "Record the thread NAME alone: main, or the number of one that serves clients",
      "all",
    )
    .optionWithDefault("--out <FOLDER>", "Write into FOLDER, which must not exist", `orca-${kind}-TIME`);
  return withOpsOptions(command)
    .withExamples(
      `orca profile ${kind} --ops-token-file /etc/orca/ops.token`,
      `orca profile ${kind} --for 30s --thread 2 --out /tmp/orca-${kind} --ops-token-file /etc/orca/ops.token`,
    )
    .runs(({ for: forMs = forMsDefault, out, ...flags }: ProfileFlags) => {
      const time = new Date(clock.now()).toISOString().replaceAll(/[:.]/g, "-");
      const folder = out ?? `orca-${kind}-${time}`;
      return profile({ ...flags, kind, forMs, folder, clock, stdout, stderr });
    });
}

function parseFor(text: string): number {
  const durationMs = parseDuration(text);
  if (durationMs !== undefined && durationMs >= 1000 && durationMs <= forMsMax) return durationMs;
  throw new InvalidArgumentError("expected a duration of 1s to 1m, such as 10s");
}

export interface ProfileOptions extends OpsCommandOptions {
  readonly kind: ProfileKind;
  readonly forMs: number;
  /** Undefined, or `all`, for all threads. */
  readonly thread?: string;
  readonly folder: string;
}

/**
 * Resolves with the exit code: 1 if no replica answers, it denies the profile, or a thread does not answer. The folder is made
 * before, so that nothing is recorded that cannot be kept. Without a profile, it is deleted.
 * @throws OrcaError `invalid_argument` for a folder that exists or cannot be written.
 */
export async function profile(options: ProfileOptions): Promise<number> {
  const { kind, forMs, thread = "all", folder, stdout, stderr } = options;
  const seconds = Math.ceil(forMs / 1000);
  const query = { kind, seconds: String(seconds), ...(thread !== "all" && { thread }) };
  const call = { path: "/profile", action: "profile", query };
  const timeoutMs = options.timeoutMs ?? forMs + patienceMs;
  await mkdir(folder, { mode: 0o700 }).catch((thrown) => {
    throw cannotWrite(folder, thrown);
  });
  let written: readonly WrittenProfile[] = [];
  try {
    return await withOps("profile the replica at", call, { ...options, timeoutMs }, async (url, deadline) => {
      stderr.write(`Recording for ${seconds} s\n`);
      const text = await readAnswer(url, call, deadline, profileBytesMax);
      const answer = parseAnswer(text, isProfile);
      written = await writeInto(folder, answer);
      const threads = answer.threads.map((each) => writtenAs(each, written));
      if (options.json) stdout.write(`${JSON.stringify({ folder, kind, seconds, threads })}\n`);
      else stdout.write(profileReport(answer, written, folder));
      stderr.write(faultsReport(answer));
      return written.length === answer.threads.length ? 0 : 1;
    });
  } finally {
    if (written.length === 0) await rm(folder, { recursive: true, force: true });
  }
}

async function writeInto(folder: string, { kind, threads }: ProfileAnswer): Promise<WrittenProfile[]> {
  const written: WrittenProfile[] = [];
  for (const { thread, profile: recorded } of threads) {
    if (recorded === undefined) continue;
    const file = join(folder, `${thread}.${kind}profile`);
    const text = JSON.stringify(recorded);
    await writeFile(file, text, { flag: "wx", mode: 0o600 }).catch((thrown) => {
      throw cannotWrite(file, thrown);
    });
    written.push({ thread, file, bytes: Buffer.byteLength(text) });
  }
  return written;
}

function writtenAs({ thread, fault }: ProfileAnswer["threads"][number], written: readonly WrittenProfile[]) {
  return written.find((each) => each.thread === thread) ?? { thread, fault };
}

/** The name of a thread becomes that of a file, so it is no path. */
function isProfile(value: unknown): value is ProfileAnswer {
  if (!has(value, { kind: "string", seconds: "number" }) || !hasEach(value["threads"], { thread: "string" }))
    return false;
  const { kind, threads } = value as unknown as ProfileAnswer;
  return (
    (kind === "cpu" || kind === "heap") &&
    threads.every(
      ({ thread, profile: recorded, fault }) =>
        /^[\w-]{1,100}$/.test(thread) &&
        (recorded === undefined ? typeof fault === "string" : has(recorded, {})),
    )
  );
}

function cannotWrite(file: string, thrown: unknown): OrcaError {
  const action = `Cannot write "${file}"`;
  if ((thrown as NodeJS.ErrnoException).code !== "EEXIST")
    return OrcaError.from(thrown, "invalid_argument", "config", action);
  const message = `${action}: it exists. Give another --out`;
  return new OrcaError("invalid_argument", "config", message, { cause: thrown });
}
