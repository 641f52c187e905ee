/**
 * The command line: argv, environment, signals, exit code. It is the only file that touches `process`, so that every
 * command below it can be run by a test as a function.
 */
import process from "node:process";
import { parseArgs } from "node:util";
import { SystemClock } from "./base/clock.ts";
import { OrcaError } from "./base/orca-error.ts";
import { SystemRandom } from "./base/random.ts";
import { parseBytes } from "./base/units.ts";
import { cacheClear } from "./cli/cache-clear-command.ts";
import { cacheStatsCommand } from "./cli/cache-stats-command.ts";
import { cacheVerify } from "./cli/cache-verify-command.ts";
import { configCheck, configPrint } from "./cli/config-command.ts";
import { inspect } from "./cli/inspect-command.ts";
import { serve } from "./cli/serve-command.ts";
import { status } from "./cli/status-command.ts";
import { loadConfig, type SettingsTree } from "./config/load.ts";
import { originFromUrl } from "./config/origin-url.ts";
import { createLogger } from "./ops/logging.ts";
import { Replica, type ReplicaOptions } from "./replica/replica.ts";

const help = `Orca, a read-only S3 origin cache

  orca serve --config FILE            serve what FILE configures
  orca serve --origin URL [options]   serve one origin on defaults; URL is one of
                                        s3://bucket[/prefix][?endpoint=...&region=...&path_style=true]
                                        azblob://account/container[/prefix][?endpoint=...]
                                        file:///dir
      --listen HOST:PORT              where S3 clients connect        (default 0.0.0.0:8443)
      --ops-listen HOST:PORT          health and metrics              (default 0.0.0.0:8442)
      --memory SIZE                   bound on chunk bytes in RAM     (default 1GiB)
      --disk DIR                      keep chunks on disk too         (default: RAM only)
      --disk-size SIZE                bound on bytes on disk          (default 10GiB)
  orca config check FILE              report every fault in FILE
  orca config print [FILE] [--json]   the effective configuration, secrets hidden
  orca certs --out DIR --server-name NAME --replica R [options]
                                      certificates for a cluster under development: DIR/ca.crt, and
                                      DIR/R.crt and DIR/R.key for each replica R (give it repeatedly)
      --host HOST                     another name or address of the replicas (may be repeated)
  orca status [--ops URL] [--json]    what a replica knows of its cluster: members, origin share, bytes;
                                      URL is its ops listener         (default http://127.0.0.1:8442)
  orca inspect s3://BUCKET/KEY [--ops URL] [--json]
                                      where an object's chunks lie, by replica and tier
  orca cache stats [--ops URL] [--json]
                                      what a replica holds in memory, on disk and in the cachestore
  orca cache verify [--rate SIZE] [--ops URL] [--json]
                                      read its whole disk, SIZE a second (default 64MiB), and delete what is
                                      damaged; Ctrl-C pauses it, the same command goes on
  orca cache clear [--prefix BUCKET/PREFIX] [--cachestore] [--ops URL] [--json]
                                      let go of what it holds, of all objects or of some; --cachestore:
                                      from the store that all replicas share, too

Settings can also come from the environment: ORCA_MEMORY_MAX_BYTES=4GiB is memory.max_bytes.
Credentials come from ORCA_AWSS3_ACCESS_KEY, ORCA_AWSS3_SECRET_KEY, ORCA_AZUREBLOB_ACCOUNT_KEY,
or from the AWS and Azure SDKs' own places.
`;

const usageExitCode = 2;
const bugExitCode = 70;

async function main(args: readonly string[]): Promise<number> {
  const [command = "help", ...rest] = args;
  switch (command) {
    case "serve":
      return runServe(rest);
    case "config":
      return runConfig(rest);
    case "certs":
      return runCerts(rest);
    case "status":
      return runStatus(rest);
    case "inspect":
      return runInspect(rest);
    case "cache":
      return runCache(rest);
    case "help":
    case "--help":
    case "-h":
      return printHelp();
    default:
      throw new OrcaError("invalid_argument", "config", `Unknown command "${command}". Try: orca help`);
  }
}

async function runServe(args: string[]): Promise<number> {
  const { values } = parseArgs({
    args,
    options: {
      config: { type: "string" },
      origin: { type: "string" },
      listen: { type: "string" },
      "ops-listen": { type: "string" },
      memory: { type: "string" },
      disk: { type: "string" },
      "disk-size": { type: "string" },
      help: { type: "boolean", short: "h" },
    },
  });
  if (values.help) return printHelp();
  if ((values.config === undefined) === (values.origin === undefined)) {
    throw new OrcaError(
      "invalid_argument",
      "config",
      "Cannot serve: give either --config FILE or --origin URL",
    );
  }
  const overrides: SettingsTree = {
    origin: values.origin === undefined ? undefined : originFromUrl(values.origin),
    server: { listen: values.listen, ops_listen: values["ops-listen"] },
    memory: { max_bytes: values.memory },
    disk:
      values.disk === undefined && values["disk-size"] === undefined
        ? undefined
        : { root: values.disk, max_bytes: values["disk-size"] },
  };
  const config = loadConfig({ file: values.config, env: process.env, overrides });
  const options = systemParts(config.logging.level);
  reportBugs(options);
  const replica = await Replica.open({ ...options, config });
  return serve({ config, logger: options.logger, replica, stopAsked: stopSignal() });
}

async function runConfig(args: string[]): Promise<number> {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: { json: { type: "boolean", default: false } },
  });
  const [action, file, ...surplus] = positionals;
  const streams = { env: process.env, stdout: process.stdout, stderr: process.stderr };
  if (surplus.length === 0) {
    if (action === "check" && file !== undefined) return configCheck({ file, ...streams });
    if (action === "print") return configPrint({ file, json: values.json, ...streams });
  }
  throw new OrcaError(
    "invalid_argument",
    "config",
    "Usage: orca config check FILE, or orca config print [FILE] [--json]",
  );
}

async function runCerts(args: string[]): Promise<number> {
  const { values } = parseArgs({
    args,
    options: {
      out: { type: "string" },
      "server-name": { type: "string" },
      replica: { type: "string", multiple: true, default: [] },
      host: { type: "string", multiple: true, default: [] },
      help: { type: "boolean", short: "h" },
    },
  });
  if (values.help) return printHelp();
  const { out, "server-name": serverName, replica: replicas, host: hosts } = values;
  if (out === undefined || serverName === undefined) {
    throw new OrcaError(
      "invalid_argument",
      "config",
      "Usage: orca certs --out DIR --server-name NAME --replica R [--replica R ...] [--host H ...]",
    );
  }
  // Read when it is asked for: a library that writes certificates is no part of a replica.
  const { certs } = await import("./cli/certs-command.ts");
  return certs({ out, serverName, replicas, hosts, clock: new SystemClock(), stdout: process.stdout });
}

/** What every command is told that asks a replica. */
const opsOptions = {
  ops: { type: "string", default: "http://127.0.0.1:8442" },
  json: { type: "boolean", default: false },
  help: { type: "boolean", short: "h" },
} as const;

async function runStatus(args: string[]): Promise<number> {
  const { values } = parseArgs({ args, options: opsOptions });
  if (values.help) return printHelp();
  return status({ ...values, ...systemStreams() });
}

async function runInspect(args: string[]): Promise<number> {
  const { values, positionals } = parseArgs({ args, allowPositionals: true, options: opsOptions });
  if (values.help) return printHelp();
  const [url, ...surplus] = positionals;
  if (url === undefined || surplus.length > 0) {
    throw new OrcaError(
      "invalid_argument",
      "config",
      "Usage: orca inspect s3://BUCKET/KEY [--ops URL] [--json]",
    );
  }
  return inspect({ ...values, url, ...systemStreams() });
}

async function runCache(args: string[]): Promise<number> {
  const [action, ...rest] = args;
  const rate = { type: "string" } as const;
  switch (action) {
    case "stats": {
      const { values } = parseArgs({ args: rest, options: opsOptions });
      return values.help ? printHelp() : cacheStatsCommand({ ...values, ...systemStreams() });
    }
    case "verify": {
      const { values } = parseArgs({ args: rest, options: { ...opsOptions, rate } });
      if (values.help) return printHelp();
      return cacheVerify({
        ...values,
        rateBytes: rateOf(values.rate),
        progress: process.stderr,
        ...systemStreams(),
      });
    }
    case "clear": {
      const prefix = { type: "string" } as const;
      const cachestore = { type: "boolean", default: false } as const;
      const { values } = parseArgs({ args: rest, options: { ...opsOptions, prefix, cachestore } });
      return values.help ? printHelp() : cacheClear({ ...values, ...systemStreams() });
    }
    case "--help":
    case "-h":
      return printHelp();
    default:
      throw new OrcaError(
        "invalid_argument",
        "config",
        "Usage: orca cache stats, verify or clear. Try: orca help",
      );
  }
}

function rateOf(text: string | undefined): number | undefined {
  const bytes = text === undefined ? undefined : parseBytes(text);
  if (text === undefined || bytes !== undefined) return bytes;
  throw new OrcaError(
    "invalid_argument",
    "config",
    `Cannot verify at --rate "${text}": expected a size such as 64MiB`,
  );
}

function systemStreams() {
  return { clock: new SystemClock(), stdout: process.stdout, stderr: process.stderr };
}

function printHelp(): number {
  process.stdout.write(help);
  return 0;
}

function systemParts(level: "debug" | "info" | "warn" | "error"): Omit<ReplicaOptions, "config"> {
  const clock = new SystemClock();
  const logger = createLogger({ level, clock, pretty: process.stdout.isTTY });
  return { clock, random: new SystemRandom(), logger };
}

/** Resolves with the first signal that asks the process to stop. A second one ends it without waiting. */
function stopSignal(): Promise<string> {
  const { promise, resolve } = Promise.withResolvers<string>();
  let asked = false;
  for (const signal of ["SIGTERM", "SIGINT"] as const) {
    process.on(signal, () => {
      if (asked) process.exit(128 + (signal === "SIGINT" ? 2 : 15));
      asked = true;
      resolve(signal);
    });
  }
  return promise;
}

/** A failed assertion or an error nobody caught: the state is not known any more, so the process says so and ends. */
function reportBugs({ logger }: Omit<ReplicaOptions, "config">): void {
  process.on("uncaughtException", (error) => {
    logger.error({ error, stack: error.stack }, "Orca met a bug and ends; please report this line");
    process.exit(bugExitCode);
  });
}

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (thrown) {
  const known = thrown instanceof OrcaError || (thrown instanceof TypeError && "code" in thrown);
  process.stderr.write(
    `orca: ${known ? thrown.message : String(thrown instanceof Error ? thrown.stack : thrown)}\n`,
  );
  process.exitCode = thrown instanceof OrcaError && thrown.code === "config_invalid" ? 1 : usageExitCode;
}
