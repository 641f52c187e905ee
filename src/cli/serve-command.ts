/**
 * `orca serve`: one replica until it is told to stop. It says where it listens and what a person can paste next, and
 * on SIGTERM or Ctrl-C what it is waiting for; a second Ctrl-C ends it at once.
 */
import type { AddressInfo } from "node:net";
import type { Logger } from "../base/logger.ts";
import { formatBytes } from "../base/units.ts";
import type { Config } from "../config/config.ts";

/** A replica as a command sees it. */
export interface RunnableReplica {
  start(): Promise<{ readonly s3: AddressInfo; readonly ops: AddressInfo }>;
  stop(): Promise<void>;
}

export interface ServeOptions {
  readonly config: Config;
  readonly logger: Logger;
  readonly replica: RunnableReplica;
  /** Resolves when the process is asked to stop, with what asked for it. */
  readonly stopAsked: Promise<string>;
}

/** Resolves with the exit code. */
export async function serve({ config, logger, replica, stopAsked }: ServeOptions): Promise<number> {
  const { s3, ops } = await replica.start();
  const scheme = config.server.tls ? "https" : "http";
  logger.info(
    {
      s3: `${scheme}://${hostForClients(s3)}:${s3.port}`,
      ops: `http://${hostForClients(ops)}:${ops.port}`,
      buckets: config.origins.flatMap((origin) => [...origin.buckets.keys()]),
      memory: formatBytes(config.memory.maxBytes),
      disk: config.disk ? `${config.disk.root} (${formatBytes(config.disk.maxBytes)})` : "none",
    },
    "Serving",
  );
  const reason = await stopAsked;
  logger.info(
    { reason, drainTimeoutMs: config.server.drainTimeoutMs },
    "Stopping: waiting for running responses",
  );
  await replica.stop();
  logger.info({}, "Stopped");
  return 0;
}

/** An address of all interfaces is not one that can be pasted. */
function hostForClients({ address, family }: AddressInfo): string {
  if (address === "0.0.0.0" || address === "::") return "localhost";
  return family === "IPv6" ? `[${address}]` : address;
}
