/**
 * `orca warm`: fetches objects into the cluster before they are read. One replica leads the work and reports it; this
 * command shows it. It ends with the command, and its id is enough to go on.
 */
import { readFileSync, statSync } from "node:fs";
import { InvalidArgumentError } from "commander";
import { OrcaError } from "../../base/orca-error.ts";
import { formatBytes, parseBytes, parseDuration } from "../../base/units.ts";
import type { WarmDocument } from "../../ops/warm/warm-up.ts";
import type { CommandContext, TerminalOutput } from "../command-context.ts";
import { prefixOf } from "../object-url.ts";
import {
  type Deadline,
  has,
  hasEach,
  type OpsCall,
  type OpsCommandOptions,
  type OpsFlags,
  parseAnswer,
  readLines,
  withOps,
  withOpsOptions,
} from "../ops-call.ts";
import { OrcaCommand } from "../orca-command.ts";
import { WarmProgress } from "./warm-progress.ts";
import { resumeHint, warmFault, warmReport } from "./warm-report.ts";

interface WarmFlags extends OpsFlags {
  readonly manifest?: string;
  /** Bytes a second. */
  readonly rate?: number;
  /** Milliseconds. */
  readonly pin?: number;
  readonly dryRun: boolean;
  readonly resume?: string;
}

export function warmCommand(context: CommandContext): OrcaCommand {
  const { clock, stdout, stderr } = context;
  const command = new OrcaCommand("warm", "Fetch objects into the cluster before they are read")
    .details(
      "Spreads the work over all replicas, reads each byte from the origin once, and looks at the end whether " +
        "every chunk is held where it should be. Clients come first: it waits while they need the origin. Ctrl-C " +
        "ends the work on all replicas; what was fetched stays.",
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
    .option("--resume <ID>", "Go on where the warm-up with ID ended (with its --manifest, if it had one)");
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

export interface WarmOptions extends OpsCommandOptions {
  /** `s3://BUCKET/PREFIX`. */
  readonly url?: string | undefined;
  readonly manifest?: string | undefined;
  /** Bytes a second, from the origin. */
  readonly rateBytes?: number | undefined;
  /** How long chunks are not evicted. */
  readonly pinMs?: number | undefined;
  readonly dryRun: boolean;
  /** The id of the warm-up that this one continues. */
  readonly resume?: string | undefined;
  /** Where the bar is drawn. */
  readonly progress: TerminalOutput;
  /** Resolves when the user wants it to end. */
  readonly stopSignal?: () => Promise<string>;
}

const pinMsMax = 8760 * 3_600_000;
/** Between two lines; one comes twice a second. */
const lineTimeoutMs = 15_000;
/** Of a shell, after SIGINT. */
const stoppedExitCode = 130;

/**
 * Resolves with the exit code: 0 if all is held, or after a dry run; 1 if chunks are missing or it could not run.
 * @throws OrcaError `invalid_argument` for a URL or a manifest that is not valid.
 */
export async function warm(options: WarmOptions): Promise<number> {
  const call = await callOf(options);
  const timeoutMs = options.timeoutMs ?? lineTimeoutMs;
  return withOps("warm at", call, { ...options, timeoutMs }, (url, deadline) =>
    follow(url, call, deadline, options),
  );
}

async function follow(url: URL, call: OpsCall, deadline: Deadline, options: WarmOptions): Promise<number> {
  const { json, stdout, stderr, progress, clock } = options;
  let isStopped = false;
  void options.stopSignal?.().then(() => {
    isStopped = true;
    deadline.abort(new Error("it was stopped"));
  });
  const shown = json ? undefined : new WarmProgress(progress, clock);
  let last: WarmDocument | undefined;
  try {
    for await (const line of readLines(url, call, deadline)) {
      last = parseAnswer(line, isWarm);
      if (json) stdout.write(`${line}\n`);
      else shown?.show(last);
    }
  } catch (thrown) {
    shown?.end();
    if (last && !isOver(last)) stderr.write(`${isStopped ? "Stopped. " : ""}${resumeHint(last, options)}`);
    if (isStopped) return stoppedExitCode;
    throw thrown;
  }
  shown?.end();
  if (!last || !isOver(last)) throw new Error("it ended before the warm-up had");
  if (!json) stdout.write(warmReport(last));
  const fault = warmFault(last, options);
  if (fault === undefined) return 0;
  stderr.write(fault);
  return 1;
}

function isOver({ state }: WarmDocument): boolean {
  return state === "complete" || state === "incomplete" || state === "failed";
}

/** @throws OrcaError `invalid_argument`. */
async function callOf({ url, manifest, resume, rateBytes, pinMs, dryRun }: WarmOptions): Promise<OpsCall> {
  if (resume === undefined && (url === undefined) === (manifest === undefined))
    throw invalid("warm: expected either s3://BUCKET/PREFIX or --manifest FILE");
  if (resume !== undefined && url !== undefined)
    throw invalid(`warm "${url}": --resume knows its objects, so leave the URL out`);
  if (dryRun && pinMs !== undefined) throw invalid("warm: --dry-run changes nothing, so leave --pin out");
  const body = manifest === undefined ? undefined : await manifestIn(manifest);
  return {
    path: "/cache/warm",
    action: "warm",
    query: {
      ...(url !== undefined && { prefix: prefixOf("warm", url) }),
      ...(body && { manifest: "true" }),
      ...(resume !== undefined && { resume }),
      ...(rateBytes !== undefined && { bytes_per_second: String(rateBytes) }),
      ...(pinMs !== undefined && { pin_seconds: String(Math.ceil(pinMs / 1000)) }),
      ...(dryRun && { dry_run: "true" }),
    },
    ...(body && { body }),
  };
}

async function manifestIn(file: string): Promise<Uint8Array<ArrayBuffer>> {
  const action = `use --manifest "${file}"`;
  const { manifestBytesMax } = await import("../../ops/warm/warm-source.ts");
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

function isWarm(value: unknown): value is WarmDocument {
  const count = { chunks: "number", bytes: "number" } as const;
  return (
    has(value, {
      id: "string",
      source: "string",
      state: "string",
      dry_run: "boolean",
      objects: "number",
      bytes: "number",
      pass_bytes: "number",
      pass_total_bytes: "number",
    }) &&
    ["held", "filled", "verified", "missing", "unpinned"].every((name) => has(value[name], count)) &&
    hasEach(value["missing_chunks"], { url: "string", reason: "string" }) &&
    (value["reason"] === null || typeof value["reason"] === "string")
  );
}
