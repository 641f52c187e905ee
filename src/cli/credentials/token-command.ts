/**
 * `orca token`: makes a bearer token for a client that cannot sign. It needs only the file of keys that the replicas have,
 * and no replica.
 */
import { createSecretKey } from "node:crypto";
import { readFileSync } from "node:fs";
import { InvalidArgumentError } from "commander";
import type { Clock } from "../../base/clock.ts";
import { OrcaError } from "../../base/orca-error.ts";
import { parseDuration } from "../../base/units.ts";
import type { CommandContext, TextOutput } from "../command-context.ts";
import { OrcaCommand } from "../orca-command.ts";

interface TokenFlags {
  readonly keyFile: string;
  readonly subject: string;
  readonly bucket: readonly string[];
  readonly prefix?: readonly string[];
  readonly allow?: readonly string[];
  /** Milliseconds. */
  readonly expiresIn?: number;
}

const expiresInMsDefault = 12 * 3_600_000;

export function tokenCommand({ clock, stdout }: CommandContext): OrcaCommand {
  return new OrcaCommand("token", "Make a bearer token for a client of server.auth.mode bearer")
    .usage("--key-file FILE --subject NAME --bucket NAME... [options]")
    .details("Prints the token. The client sends it as `Authorization: Bearer TOKEN`.")
    .requiredOption(
      "--key-file <FILE>",
      "Sign with the first key in FILE, which is server.auth.bearer_secret_file",
    )
    .requiredOption("--subject <NAME>", "Name the client NAME, as the log shall show it")
    .requiredOption("--bucket <NAME...>", 'Allow to read bucket NAME; "*" is every bucket')
    .optionWithDefault("--expires-in <DURATION>", "Let the token expire after DURATION", "12h", parseExpiry)
    .option("--prefix <PREFIX...>", "Allow only keys that begin with PREFIX")
    .option("--allow <ACTION...>", "Allow only ACTION: get, list")
    .withExamples(
      "orca token --key-file /etc/orca/token.key --subject ci --bucket models --expires-in 1h",
      "orca token --key-file token.key --subject web --bucket models --prefix public/ --allow get",
    )
    .runs((flags: TokenFlags) => token({ ...flags, clock, stdout }));
}

function parseExpiry(text: string): number {
  const durationMs = parseDuration(text);
  if (durationMs !== undefined && durationMs >= 1000) return durationMs;
  throw new InvalidArgumentError("expected a duration of a second or more, such as 12h");
}

interface TokenOptions extends TokenFlags {
  readonly clock: Clock;
  readonly stdout: TextOutput;
}

async function token(options: TokenOptions): Promise<number> {
  const {
    subject,
    bucket: buckets,
    prefix: prefixes,
    expiresIn = expiresInMsDefault,
    clock,
    stdout,
  } = options;
  const { makeToken, tokenClaimsOf } = await import("../../edge/auth/bearer-token.ts");
  const claims = tokenClaimsOf({
    sub: subject,
    exp: Math.floor((clock.now() + expiresIn) / 1000),
    buckets,
    prefixes,
    allow: options.allow,
  });
  if (claims === undefined) {
    throw cannot("expected a subject of 1 to 256 characters, and get or list for --allow");
  }
  stdout.write(`${makeToken(claims, createSecretKey(Buffer.from(await firstKeyIn(options.keyFile))))}\n`);
  return 0;
}

async function firstKeyIn(file: string): Promise<string> {
  const { tokenKeysOf } = await import("../../config/token-keys.ts");
  let text: string;
  try {
    text = readFileSync(file, "utf8");
  } catch (thrown) {
    throw OrcaError.from(thrown, "invalid_argument", "config", `Cannot read --key-file "${file}"`);
  }
  const keys = tokenKeysOf(text);
  if ("expected" in keys) throw cannot(`expected ${keys.expected} in --key-file "${file}"`);
  return keys[0] as string;
}

function cannot(reason: string): OrcaError {
  return new OrcaError("invalid_argument", "config", `Cannot make a token: ${reason}`);
}
