/**
 * `orca serve`: one replica, until a signal stops it. It logs where it listens, in a form to paste, and on SIGTERM or
 * Ctrl-C what it waits for. A second signal ends the process at once.
 */
import { existsSync } from "node:fs";
import type { AddressInfo } from "node:net";
import type { Logger } from "../base/logger.ts";
import { OrcaError } from "../base/orca-error.ts";
import { pages } from "../base/pages.ts";
import { formatBytes } from "../base/units.ts";
import type { Config } from "../config/config.ts";
import type { SettingsTree } from "../config/load.ts";
import type { Log } from "../ops/logging.ts";
import type { Replica, ReplicaAddresses } from "../replica/replica.ts";
import type { CommandContext } from "./command-context.ts";
import { OrcaCommand, version } from "./orca-command.ts";

interface ServeFlags {
  readonly config?: string;
  readonly origin?: string;
  readonly listen?: string;
  readonly opsListen?: string;
  readonly memory?: string;
  readonly disk?: string;
  readonly diskSize?: string;
}

/** Where the Orca written in Go looks, too. */
export const usualConfigFile = "/etc/orca/config.yaml";

/** The replica stopped as asked, but responses were cut, or a part failed to stop. */
const uncleanStopExitCode = 3;

const details = `URL is one of
  s3://BUCKET[/PREFIX][?endpoint=...&region=...&path_style=true]
  azblob://ACCOUNT/CONTAINER[/PREFIX][?endpoint=...]
  file:///DIRECTORY
With PREFIX, clients see the keys below it, without that part.

${[
  "An option overrides the environment, and the environment overrides FILE.",
  "SIGTERM or Ctrl-C stops the replica after the responses in progress; a second one stops it at once.",
].join(" ")}`;

export function serveCommand(context: CommandContext): OrcaCommand {
  return (
    new OrcaCommand("serve", "Serve S3 clients from a cache in front of an origin")
      .usage("[--config FILE | --origin URL] [options]")
      .details(details)
      .optionWithDefault("-c, --config <FILE>", "Take the settings from FILE, in YAML", usualConfigFile)
      .option("--origin <URL>", "Serve the origin at URL, with the default settings")
      // The defaults are the schema's, which a test compares: an option that is not given must not hide a setting.
      .optionWithDefault("--listen <HOST:PORT>", "Accept S3 clients at HOST:PORT", "0.0.0.0:8443")
      .optionWithDefault(
        "--ops-listen <HOST:PORT>",
        "Answer health checks and metrics at HOST:PORT",
        "0.0.0.0:8442",
      )
      .optionWithDefault("--memory <SIZE>", "Keep up to SIZE of chunks in memory", "1GiB")
      .optionWithDefault("--disk <DIR>", "Also keep chunks on disk, in DIR", "memory only")
      .optionWithDefault("--disk-size <SIZE>", "Keep up to SIZE of chunks on disk", "10GiB")
      .suggestForOperand((operand) => `${operand.includes("://") ? "--origin" : "--config"} ${operand}`)
      .withExamples(
        "orca serve --config /etc/orca/config.yaml",
        "orca serve --origin s3://models/llama --memory 8GiB",
        "orca serve --origin file:///srv/data --disk /var/cache/orca --disk-size 500GiB",
      )
      .runs((flags: ServeFlags) => serve(flags, context))
  );
}

async function serve(flags: ServeFlags, context: CommandContext): Promise<number> {
  const { file, overrides } = await configSourceOf(flags, context, "Cannot serve");
  const { loadConfig } = await import("../config/load.ts");
  const all = { ...overrides, ...overridesOf(flags) };
  const config = loadConfig({ file, env: context.env, overrides: all });
  // After the configuration, so that its faults are reported at once.
  const { Log } = await import("../ops/logging.ts");
  const { clock, stdout, stderr, logStream } = context;
  const log = new Log({
    level: config.logging.level,
    clock,
    pretty: stdout.isTTY === true,
    ...(logStream && { stream: logStream }),
  });
  const tellPerson = (loss: string | undefined): void => {
    if (loss !== undefined) stderr.write(`orca: ${loss}\n`);
  };
  context.reportUncaught((error) => tellPerson(log.reportBug(error)));
  try {
    return await serveLogged(config, log, context);
  } finally {
    tellPerson(await log.close());
  }
}

async function serveLogged(config: Config, log: Log, context: CommandContext): Promise<number> {
  const { clock, random } = context;
  const { logger } = log;
  const { warningsOf } = await import("../config/warnings.ts");
  const { roomOf, roomWarnings } = await import("../config/room-warnings.ts");
  for (const warning of [...warningsOf(config), ...roomWarnings(config, roomOf(config))]) {
    const see = warning.startsWith("server.auth") ? pages.access : pages.sizing;
    logger.warn({ see }, warning);
  }
  const replicaModule = await import("../replica/replica.ts");
  const replica = await replicaModule.Replica.open({ config, clock, random, logger, log, version });
  const ended = Promise.race([context.stopSignal(), replica.listenerDied]);
  const { rehearse } = await import("../replica/rehearsal/rehearsal.ts");
  const { rehearseThreads } = replica;
  const starting = replica.start(() => rehearse({ config, clock, random, logger, rehearseThreads }));
  const started = await Promise.race([starting, ended]);
  if (typeof started === "string" || started instanceof OrcaError) {
    // It ends with the stop below, and its reason is that stop.
    starting.catch(() => {});
  } else logger.info(servingFields(config, replica, started), "Serving");
  const reason = await ended;
  logger.info(
    { reason: String(reason), drainTimeoutMs: config.server.drainTimeoutMs },
    "Stopping: waiting for the responses in progress. A second signal stops at once",
  );
  const exitCode = await stop(replica, logger, context);
  if (reason instanceof OrcaError) throw reason;
  return exitCode;
}

/** Resolves with the exit code. */
async function stop(replica: Replica, logger: Logger, { stderr }: CommandContext): Promise<number> {
  try {
    await replica.stop();
  } catch (thrown) {
    const error = OrcaError.from(thrown, "internal", "replica", "Cannot stop cleanly");
    logger.error({ error }, "Stopped, but a part could not be stopped in order");
    stderr.write(`orca: ${error.message}\n`);
    return uncleanStopExitCode;
  }
  logger.info({ responsesCut: replica.responsesCut }, "Stopped");
  return replica.responsesCut > 0 ? uncleanStopExitCode : 0;
}

function servingFields(config: Config, { replicaId }: Replica, { s3, ops, mesh }: ReplicaAddresses): object {
  const scheme = config.server.tls ? "https" : "http";
  const { replication, clustered, internalTls } = config.cluster;
  return {
    version,
    replicaId,
    s3: `${scheme}://${hostForClients(s3)}:${s3.port}`,
    ops: `${config.server.opsTls ? "https" : "http"}://${hostForClients(ops)}:${ops.port}`,
    buckets: config.origins.flatMap(({ buckets, otherBuckets }) => [
      ...buckets.keys(),
      ...(otherBuckets ? ["*"] : []),
    ]),
    threads: config.server.threads,
    memory: formatBytes(config.memory.maxBytes),
    disk: config.disk ? `${config.disk.root} (${formatBytes(config.disk.maxBytes)})` : "none",
    mesh: mesh ? `${hostForClients(mesh)}:${mesh.port}` : "none",
    meshTls: clustered && internalTls !== undefined,
    replication,
    cachestore: config.cachestore.driver,
  };
}

/** Where a command that takes `--config` and `--origin` finds its settings. */
export interface ConfigSource {
  /** Undefined where the settings are `--origin` and defaults. */
  readonly file: string | undefined;
  readonly overrides: SettingsTree;
}

/** `action` begins the error. @throws OrcaError `invalid_argument`, and `config_invalid` for the URL of an origin. */
export async function configSourceOf(
  { config, origin }: Pick<ServeFlags, "config" | "origin">,
  { configFile = usualConfigFile }: CommandContext,
  action: string,
): Promise<ConfigSource> {
  const cannot = `${action}: give either --config FILE or --origin URL`;
  if (config !== undefined && origin !== undefined) throw new OrcaError("invalid_argument", "config", cannot);
  if (origin !== undefined) {
    const { originFromUrl } = await import("../config/origin-url.ts");
    return { file: undefined, overrides: { origin: originFromUrl(origin) } };
  }
  if (config !== undefined) return { file: config, overrides: {} };
  if (existsSync(configFile)) return { file: configFile, overrides: {} };
  throw new OrcaError("invalid_argument", "config", `${cannot}, because there is no "${configFile}"`);
}

function overridesOf(flags: ServeFlags): SettingsTree {
  const { listen, opsListen, memory, disk, diskSize } = flags;
  return {
    server: { listen, ops_listen: opsListen },
    memory: { max_bytes: memory },
    disk: disk === undefined && diskSize === undefined ? undefined : { root: disk, max_bytes: diskSize },
  };
}

/** A client cannot connect to the address that stands for all interfaces. */
function hostForClients({ address, family }: AddressInfo): string {
  if (address === "0.0.0.0" || address === "::") return "localhost";
  return family === "IPv6" ? `[${address}]` : address;
}
