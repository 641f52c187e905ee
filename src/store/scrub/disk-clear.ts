/**
 * Takes the chunks of some objects off a disk. Which object a file belongs to stands in its footer and nowhere else, so
 * a thread reads them all; to clear everything, nothing is read. What a footer does not tell any more is left to a scrub.
 */
import { once } from "node:events";
import { join } from "node:path";
import { isBelow, type ObjectPrefix } from "../../chunk/object-prefix.ts";
import { fanOuts } from "../chunk-file/chunk-file.ts";
import type { DiskTier } from "../disk/disk-tier.ts";
import { DiskAudit } from "./disk-audit.ts";

/** What a clear needs of the disk tier. */
export type ClearedDisk = Pick<DiskTier, "directory" | "ready" | "keys" | "discard">;

export interface Cleared {
  readonly chunks: number;
  /** Sizes of their files. */
  readonly bytes: number;
}

/**
 * Without a prefix, everything goes. Commits that run meanwhile may be missed.
 * @throws OrcaError `internal` where the disk cannot be read, and the signal's reason; what is cleared by then stays so.
 */
export async function clearDisk(
  disk: ClearedDisk,
  prefix: ObjectPrefix | undefined,
  signal: AbortSignal,
): Promise<Cleared> {
  signal.throwIfAborted();
  // Before the scan has ended, nobody knows what there is.
  await Promise.race([disk.ready, once(signal, "abort")]);
  signal.throwIfAborted();
  if (prefix === undefined) return discardAll(disk, [...disk.keys()], signal);
  const audit = new DiskAudit();
  try {
    let [chunks, bytes] = [0, 0];
    for (const fanOut of fanOuts) {
      signal.throwIfAborted();
      const found = await audit.identify(join(disk.directory, fanOut));
      const keys = found.filter((chunk) => isBelow(prefix, chunk)).map(({ key }) => key);
      const cleared = await discardAll(disk, keys, signal);
      chunks += cleared.chunks;
      bytes += cleared.bytes;
    }
    return { chunks, bytes };
  } finally {
    await audit.close();
  }
}

/** One by one: clients' reads come in between. */
async function discardAll(disk: ClearedDisk, keys: readonly string[], signal: AbortSignal): Promise<Cleared> {
  let [chunks, bytes] = [0, 0];
  for (const key of keys) {
    signal.throwIfAborted();
    const sizeBytes = await disk.discard(key);
    if (sizeBytes > 0) chunks += 1;
    bytes += sizeBytes;
  }
  return { chunks, bytes };
}
