/**
 * `orca warm`: fetches objects into the cluster before they are read. One replica leads the work and reports it; this
 * command shows it. It ends with the command, and its id is enough to go on. If that replica stops, another one goes on, and
 * the command follows it there if it can.
 */
import { readFileSync, statSync } from "node:fs";
import { InvalidArgumentError } from "commander";
import { OrcaError } from "../../base/orca-error.ts";
import { formatBytes, parseBytes, parseDuration } from "../../base/units.ts";
import type { CommandContext } from "../command-context.ts";
import { prefixOf } from "../object-url.ts";
import { type OpsCall, type OpsFlags, withOpsOptions } from "../ops-call.ts";
import { OrcaCommand } from "../orca-command.ts";
import { cancelCall, followCall, warmCall } from "./warm-answer.ts";
import { cancelWarmUp, WarmFollower, type WarmOptions } from "./warm-follower.ts";

interface WarmFlags extends OpsFlags {
  readonly manifest?: string;
  /** Bytes a second. */
  readonly rate?: number;
  /** Milliseconds. */
  readonly pin?: number;
  readonly dryRun: boolean;
  readonly resume?: string;
  readonly follow?: string;
  readonly cancel?: string;
}

export function warmCommand(context: CommandContext): OrcaCommand {
  const { clock, stdout, stderr } = context;
  const command = new OrcaCommand("warm", "Fetch objects into the cluster before they are read")
    .details(
      "Spreads the work over all replicas, reads each byte from the origin once, and looks at the end whether " +
        "every chunk is held where it should be. Clients come first: it waits while they need the origin. Ctrl-C " +
        "ends the work on all replicas; what was fetched stays. If the replica that leads the work stops, another one " +
        "goes on, and this command follows it where it can.",
    )
    .argument("[URL]", "The objects, as s3://BUCKET/PREFIX: all whose keys begin with PREFIX")
    .option("--manifest <FILE>", "Fetch the objects that FILE names, one s3://BUCKET/KEY a line")
    .optionWithDefault("--rate <SIZE>", "Read at most SIZE a second from the origin", "no limit", parseRate)
    .optionWithDefault(
      "--pin <TIME>",
      "Keep it from being evicted from disk for TIME, such as 24h",
      "evict as usual",
      parsePin,
    )
    .option("--dry-run", "Fetch nothing; show how much there is and how much is held", false)
    .option("--resume <ID>", "Go on where the warm-up with ID ended (with its --manifest, if it had one)")
    .option(
      "--follow <RUN>",
      "Show the warm-up RUN, which goes on at this replica because another one has stopped",
    )
    .option("--cancel <RUN>", "End the warm-up RUN at this replica");
  return withOpsOptions(command)
    .withExamples(
      "orca warm s3://models/llama/ --dry-run",
      "orca warm s3://models/llama/ --rate 100MiB --pin 24h",
      "orca warm --manifest epoch-1.txt --ops http://cache-2.example.com:8442",
    )
    .runs(({ rate, pin, ...flags }: WarmFlags, url: string | undefined) =>
      warm({
        ...flags,
        url,
        rateBytes: rate,
        pinMs: pin,
        progress: stderr,
        clock,
        stdout,
        stderr,
        stopSignal: () => context.stopSignal(),
      }),
    );
}

function parseRate(text: string): number {
  const bytes = parseBytes(text);
  if (bytes === undefined) throw new InvalidArgumentError("expected a size such as 100MiB");
  return bytes;
}

function parsePin(text: string): number {
  const ms = parseDuration(text);
  if (ms === undefined || ms < 1000 || ms > pinMsMax)
    throw new InvalidArgumentError("expected a time such as 24h, 1s to 8760h");
  return ms;
}

const pinMsMax = 8760 * 3_600_000;
/** Between two lines; one comes twice a second. */
const lineTimeoutMs = 15_000;

/**
 * Resolves with the exit code: 0 if all is held, or after a dry run; 1 if chunks are missing or it could not run.
 * @throws OrcaError `invalid_argument` for a URL or a manifest that is not valid.
 */
export async function warm(options: WarmOptions): Promise<number> {
  const call = await callOf(options);
  const timeoutMs = options.timeoutMs ?? lineTimeoutMs;
  if (options.cancel !== undefined) return cancelWarmUp(call, { ...options, timeoutMs });
  return new WarmFollower({ ...options, timeoutMs }).run(call);
}

/** @throws OrcaError `invalid_argument`. */
async function callOf(options: WarmOptions): Promise<OpsCall> {
  const { url, manifest, resume, rateBytes, pinMs, dryRun, follow, cancel } = options;
  const runId = follow ?? cancel;
  if (runId !== undefined) {
    const others = [url, manifest, resume, rateBytes, pinMs, follow && cancel];
    if (dryRun || others.some((other) => other !== undefined))
      throw invalid("warm: --follow and --cancel know their warm-up, so leave all else out");
    return follow === undefined ? cancelCall(runId) : followCall(runId);
  }
  if (resume === undefined && (url === undefined) === (manifest === undefined))
    throw invalid("warm: expected either s3://BUCKET/PREFIX or --manifest FILE");
  if (resume !== undefined && url !== undefined)
    throw invalid(`warm "${url}": --resume knows its objects, so leave the URL out`);
  if (dryRun && pinMs !== undefined) throw invalid("warm: --dry-run changes nothing, so leave --pin out");
  const body = manifest === undefined ? undefined : await manifestIn(manifest);
  const query = {
    ...(url !== undefined && { prefix: prefixOf("warm", url) }),
    ...(body && { manifest: "true" }),
    ...(resume !== undefined && { resume }),
    ...(rateBytes !== undefined && { bytes_per_second: String(rateBytes) }),
    ...(pinMs !== undefined && { pin_seconds: String(Math.ceil(pinMs / 1000)) }),
    ...(dryRun && { dry_run: "true" }),
  };
  return warmCall(query, body);
}

async function manifestIn(file: string): Promise<Uint8Array<ArrayBuffer>> {
  const action = `use --manifest "${file}"`;
  const { manifestBytesMax } = await import("../../fill/warming/handed-warm-up.ts");
  try {
    const { size } = statSync(file);
    if (size > manifestBytesMax)
      throw invalid(`${action}: it has more than ${formatBytes(manifestBytesMax)}. Split it`);
    return new Uint8Array(readFileSync(file));
  } catch (thrown) {
    throw OrcaError.from(thrown, "invalid_argument", "config", `Cannot ${action}`);
  }
}

function invalid(reason: string): OrcaError {
  return new OrcaError("invalid_argument", "config", `Cannot ${reason}`);
}
