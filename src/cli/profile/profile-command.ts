/** `orca profile cpu` and `orca profile heap`: a profile of a running replica, in a file that Chrome DevTools loads. */
import { open, unlink } from "node:fs/promises";
import { InvalidArgumentError } from "commander";
import { OrcaError } from "../../base/orca-error.ts";
import { formatBytes, MiB, parseDuration } from "../../base/units.ts";
import type { ProfileKind } from "../../ops/profile/profiler.ts";
import type { CommandContext } from "../command-context.ts";
import { type OpsCommandOptions, type OpsFlags, readSlices, withOps, withOpsOptions } from "../ops-call.ts";
import { OrcaCommand } from "../orca-command.ts";
import { printable } from "../table.ts";

interface ProfileFlags extends OpsFlags {
  /** Milliseconds. */
  readonly for?: number;
  readonly out?: string;
}

const forMsDefault = 10_000;
const forMsMax = 60_000;

/** The replica sends no more. */
const profileBytesMax = 65 * MiB;

/** To write the profile down, and to send it. */
const patienceMs = 30_000;

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
      `Writes a file for the tab ${tab} of Chrome DevTools. Needs the token of server.ops_token_file. A replica takes one profile at a time.`,
    )
    .optionWithDefault("--for <DURATION>", "Record for DURATION, up to 1m", "10s", parseFor)
    .optionWithDefault(
      "--out <FILE>",
      "Write to FILE, which must not exist",
      `orca-${kind}-TIME.${kind}profile`,
    );
  return withOpsOptions(command)
    .withExamples(
      `orca profile ${kind} --ops-token-file /etc/orca/ops.token`,
      `orca profile ${kind} --for 30s --out /tmp/orca.${kind}profile --ops-token-file /etc/orca/ops.token`,
    )
    .runs(({ for: forMs = forMsDefault, out, ...flags }: ProfileFlags) => {
      const time = new Date(clock.now()).toISOString().replaceAll(/[:.]/g, "-");
      const file = out ?? `orca-${kind}-${time}.${kind}profile`;
      return profile({ ...flags, kind, forMs, file, clock, stdout, stderr });
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
  readonly file: string;
}

/**
 * Resolves with the exit code: 1 if no replica answers, or it denies the profile. The file is made before, so that nothing
 * is recorded that cannot be kept. Without a whole profile, it is deleted.
 * @throws OrcaError `invalid_argument` for a file that exists or cannot be written.
 */
export async function profile(options: ProfileOptions): Promise<number> {
  const { kind, forMs, file, json, stdout, stderr } = options;
  const query = { kind, seconds: String(Math.ceil(forMs / 1000)) };
  const call = { path: "/profile", action: "profile", query };
  const timeoutMs = options.timeoutMs ?? forMs + patienceMs;
  const output = await open(file, "wx", 0o600).catch((thrown) => {
    throw cannotWrite(file, thrown);
  });
  let exitCode = 1;
  try {
    exitCode = await withOps(
      "profile the replica at",
      call,
      { ...options, timeoutMs },
      async (url, deadline) => {
        stderr.write(`Recording for ${query.seconds} s\n`);
        let bytes = 0;
        for await (const slice of readSlices(url, call, deadline, profileBytesMax)) {
          await output.appendFile(slice).catch((thrown) => {
            throw cannotWrite(file, thrown);
          });
          bytes += slice.length;
        }
        const tab = kind === "cpu" ? "Performance" : "Memory";
        const text = `Wrote ${formatBytes(bytes)} to ${printable(file)}. Load it in the tab ${tab} of Chrome DevTools.\n`;
        stdout.write(json ? `${JSON.stringify({ file, bytes, kind })}\n` : text);
        return 0;
      },
    );
    return exitCode;
  } finally {
    await output.close();
    if (exitCode !== 0) await unlink(file).catch(() => undefined);
  }
}

function cannotWrite(file: string, thrown: unknown): OrcaError {
  const action = `Cannot write "${file}"`;
  if ((thrown as NodeJS.ErrnoException).code !== "EEXIST")
    return OrcaError.from(thrown, "invalid_argument", "config", action);
  const message = `${action}: it exists. Give another --out`;
  return new OrcaError("invalid_argument", "config", message, { cause: thrown });
}
