/**
 * Settings that are valid and hold together badly: the replica starts, and an operator should know what it cannot do.
 * `orca config check` prints them, and each start logs them.
 */
import { budgetFor, readersHeldBy } from "../base/reader-memory.ts";
import { formatBytes } from "../base/units.ts";
import type { Config } from "./config.ts";

/** One sentence each, with the setting in front. */
export function warningsOf({ server, memory }: Pick<Config, "server" | "memory">): string[] {
  const readersMax = readersHeldBy(memory.maxBytes);
  if (server.maxRequests <= readersMax) return [];
  const memoryNeeded = formatBytes(budgetFor(server.maxRequests));
  return [
    `server.max_requests: memory.max_bytes (${formatBytes(memory.maxBytes)}) has room for ${readersMax} slow clients, and ${server.maxRequests} requests are allowed. Further ones wait and get 503. Set server.max_requests to ${readersMax}, or memory.max_bytes to ${memoryNeeded}`,
  ];
}
