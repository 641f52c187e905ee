/** `orca verify-reads URL`: whether Orca serves what the origin holds, for an operator before trusting it. */
import { InvalidArgumentError, Option } from "commander";
import { OrcaError } from "../../base/orca-error.ts";
import type { CommandContext } from "../command-context.ts";
import { OrcaCommand } from "../orca-command.ts";
import { configSourceOf, usualConfigFile } from "../serve-command.ts";

interface VerifyReadsFlags {
  readonly against: "origin";
  readonly config?: string;
  readonly origin?: string;
  readonly endpoint?: readonly string[];
  readonly clients?: number;
  readonly ranges?: number;
  readonly objects?: number;
  readonly seed?: number;
  readonly listings: boolean;
  readonly json: boolean;
}

/** The port is that of the setting server.listen. */
const usualEndpoint = "http://127.0.0.1:8443";
const clientsMax = 1000;
const endpointsMax = 64;
const rangesMax = 1000;
/** Their keys are in memory. */
const objectsMax = 100_000;
const seedMax = 2 ** 32 - 1;

const details = `Reads each object whole and in random ranges through Orca, and compares each byte with the origin. The origin is read as often as Orca is. Where both do not agree, it names the key and the offset. An object that is overwritten meanwhile counts as changed, and not as wrong.

The origin is that of the configuration, with the credentials of this environment, as orca serve takes them. Requests to Orca are signed with AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, if they are set. Exits with 1 if there is a difference.`;

export function verifyReadsCommand(context: CommandContext): OrcaCommand {
  return new OrcaCommand("verify-reads", "Compare what Orca serves with the origin, byte for byte")
    .usage("URL --against origin [options]")
    .details(details)
    .argument("<URL>", "What to read, as clients of Orca name it: s3://BUCKET or s3://BUCKET/PREFIX")
    .addOption(
      new Option("--against <WHAT>", "Compare with WHAT: origin").choices(["origin"]).makeOptionMandatory(),
    )
    .addOption(
      new Option("--endpoint <URL>", `Read from the replica at URL; up to ${endpointsMax} of them`)
        .default(undefined, usualEndpoint)
        .argParser(oneMore),
    )
    .optionWithDefault(
      "--clients <N>",
      `Read N things at once, at most ${clientsMax}`,
      "8",
      wholeFrom(1, clientsMax),
    )
    .optionWithDefault("--ranges <N>", "Read N random ranges of each object", "4", wholeFrom(0, rangesMax))
    .optionWithDefault("--objects <N>", "Read N objects, picked at random", "all", wholeFrom(1, objectsMax))
    .optionWithDefault(
      "--seed <N>",
      "Pick by the seed N, as an earlier run did",
      "a new one",
      wholeFrom(0, seedMax),
    )
    .optionWithDefault(
      "-c, --config <FILE>",
      "Take the settings of the origin from FILE, in YAML",
      usualConfigFile,
    )
    .option("--origin <URL>", "Take the origin at URL, as orca serve does")
    .option("--listings", "Compare listings in place of objects: keys, sizes, ETags, prefixes, pages", false)
    .option("--json", "Print the result as JSON", false)
    .withExamples(
      "orca verify-reads s3://models --against origin --listings",
      "orca verify-reads s3://models --against origin --objects 1000 --clients 64",
      "orca verify-reads s3://data --against origin --origin s3://data --endpoint http://cache-1:8443 --endpoint http://cache-2:8443",
    )
    .runs(async (flags: VerifyReadsFlags, url: string) => {
      const place = placeOf(url);
      const endpoints = (flags.endpoint ?? [usualEndpoint]).map(endpointOf);
      const source = await configSourceOf(flags, context, "Cannot find the origin");
      const { verifyReads } = await import("./verify-reads.ts");
      const { clients = 8, ranges = 4, objects, listings, json } = flags;
      const seed = flags.seed ?? Math.floor(context.random.next() * 2 ** 32);
      const what = { url, ...place, endpoints, source, clients, ranges, objects, seed };
      return verifyReads({ ...what, listings, json }, context);
    });
}

function wholeFrom(min: number, max: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (/^\d{1,10}$/.test(text) && value >= min && value <= max) return value;
    throw new InvalidArgumentError(`expected a whole number from ${min} to ${max}`);
  };
}

function oneMore(text: string, earlier: unknown): readonly string[] {
  const all = [...((earlier as readonly string[] | undefined) ?? []), text];
  if (all.length > endpointsMax) throw new InvalidArgumentError(`expected at most ${endpointsMax}`);
  return all;
}

/** Percent signs and question marks are part of the prefix, as in `aws s3`. @throws OrcaError `invalid_argument` */
function placeOf(url: string): { readonly bucket: string; readonly prefix: string } {
  const [, bucket, prefix = ""] = /^s3:\/\/([\w.$-]{1,255})(?:\/(.*))?$/s.exec(url) ?? [];
  if (bucket !== undefined && Buffer.byteLength(prefix) <= 1024) return { bucket, prefix };
  throw invalid(`Cannot read "${url}": expected s3://BUCKET or s3://BUCKET/PREFIX`);
}

/** @throws OrcaError `invalid_argument` */
function endpointOf(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  const isHttp = url?.protocol === "http:" || url?.protocol === "https:";
  if (url && isHttp && url.username === "" && url.password === "" && url.pathname === "/") return url.origin;
  // Not quoted: it may hold a password.
  throw invalid(
    "Cannot use the value of --endpoint: expected one such as http://127.0.0.1:8443, without a user",
  );
}

function invalid(message: string): OrcaError {
  return new OrcaError("invalid_argument", "config", message);
}
