/**
 * Settings that are valid and hold together badly: the replica starts, and an operator should know what it cannot do.
 * `orca config check` prints them, and each start logs them.
 */

import { budgetFor, readersHeldBy } from "../base/reader-memory.ts";
import { formatBytes } from "../base/units.ts";
import {
  diskChunkCostBytes,
  diskChunksMax,
  metadataBytesMax,
  metadataEntryCostBytes,
} from "../chunk/chunk-costs.ts";
import { isLoopback } from "./address-codec.ts";
import { printAddress } from "./codec.ts";
import type { Config } from "./config.ts";

/** One sentence each, with the setting in front. */
export function warningsOf(
  config: Pick<Config, "server" | "memory" | "disk" | "chunking" | "metadata">,
): string[] {
  const open = openToAll(config.server);
  const strangers = open === undefined ? [] : [`server.auth.enabled: ${open}`];
  return [...strangers, ...readerWarnings(config), ...chunkWarnings(config), ...metadataWarnings(config)];
}

/** Why strangers may read everything; undefined where they may not. It is a notice of `/readyz`, too. */
export function openToAll({ auth, tls, listen }: Config["server"]): string | undefined {
  if (auth.enabled || tls?.clientCaFile !== undefined || isLoopback(listen.host)) return undefined;
  return `clients do not authenticate, and everybody who reaches server.listen (${printAddress(listen)}) reads every bucket with the rights of Orca. Set server.auth, or server.tls.client_ca_file, or let only trusted networks reach the port`;
}

/** So many entries that their bytes bound them, even if there is one directory. */
function metadataWarnings({ memory, metadata }: Pick<Config, "memory" | "metadata">): string[] {
  const bytesMax = metadataBytesMax(memory.maxBytes);
  const entriesMax = Math.floor(bytesMax / metadataEntryCostBytes);
  if (metadata.maxEntries <= entriesMax) return [];
  const memoryNeeded = formatBytes(
    (metadata.maxEntries * metadataEntryCostBytes * memory.maxBytes) / bytesMax,
  );
  return [
    `metadata.max_entries: memory.max_bytes (${formatBytes(memory.maxBytes)}) has room for the metadata of about ${entriesMax} objects, and ${metadata.maxEntries} are allowed. Orca forgets objects before that. Set metadata.max_entries to ${entriesMax}, or memory.max_bytes to ${memoryNeeded}`,
  ];
}

/** Chunks of the usual size, so many that eviction by their number begins before the disk is full. */
function chunkWarnings({ memory, disk, chunking }: Pick<Config, "memory" | "disk" | "chunking">): string[] {
  if (disk === undefined) return [];
  const chunksMax = disk.maxChunks ?? diskChunksMax(memory.maxBytes);
  const chunkSizeBytes = chunking.tiers[0]?.chunkSizeBytes ?? Infinity;
  const chunks = Math.ceil(disk.maxBytes / chunkSizeBytes);
  if (chunks <= chunksMax) return [];
  const memoryNeeded = formatBytes(chunks * diskChunkCostBytes);
  return [
    `disk.max_chunks: disk.max_bytes (${formatBytes(disk.maxBytes)}) has room for ${chunks} chunks of ${formatBytes(chunkSizeBytes)}, and ${chunksMax} are allowed. Orca evicts before the disk is full. Set disk.max_chunks to ${chunks}, which takes ${memoryNeeded} of memory, or use larger chunks`,
  ];
}

function readerWarnings({ server, memory }: Pick<Config, "server" | "memory">): string[] {
  const readersMax = readersHeldBy(memory.maxBytes);
  if (server.maxRequests <= readersMax) return [];
  const memoryNeeded = formatBytes(budgetFor(server.maxRequests));
  return [
    `server.max_requests: memory.max_bytes (${formatBytes(memory.maxBytes)}) has room for ${readersMax} slow clients, and ${server.maxRequests} requests are allowed. Further ones wait and get 503. Set server.max_requests to ${readersMax}, or memory.max_bytes to ${memoryNeeded}`,
  ];
}
