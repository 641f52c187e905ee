/**
 * Deletes the chunks of some objects from a disk. Only the footer of a file says which object its chunk belongs to, so a
 * thread reads the footers of all files; to delete every chunk, it reads none. A file whose footer cannot be read stays,
 * and the scrub finds it.
 */
import { once } from "node:events";
import { join } from "node:path";
import { OrcaError } from "../../base/orca-error.ts";
import { isBelow, type ObjectPrefix } from "../../chunk/object-prefix.ts";
import { fanOuts } from "../chunk-file/chunk-file.ts";
import type { DiskTier } from "../disk/disk-tier.ts";
import { DiskAudit } from "./disk-audit.ts";

/** What a clear needs of the disk tier. */
export type ClearedDisk = Pick<DiskTier, "directory" | "ready" | "paths" | "discard" | "isSetAside">;

export interface Cleared {
  readonly chunks: number;
  /** Sum of the sizes of their files. */
  readonly bytes: number;
}

/**
 * Without a prefix, deletes every chunk. May miss a commit that runs meanwhile.
 * @throws OrcaError `overloaded` while the disk is set aside, `internal` if it cannot be read, and the signal's reason. Chunks deleted before that stay deleted.
 */
export async function clearDisk(
  disk: ClearedDisk,
  prefix: ObjectPrefix | undefined,
  signal: AbortSignal,
): Promise<Cleared> {
  signal.throwIfAborted();
  checkAnswers(disk);
  // Until the scan has ended, the tier does not know all chunks.
  await Promise.race([disk.ready, once(signal, "abort")]);
  signal.throwIfAborted();
  if (prefix === undefined) return discardAll(disk, disk.paths(), signal);
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

function checkAnswers(disk: ClearedDisk): void {
  if (!disk.isSetAside) return;
  const reason = "it does not answer. Check the disk of disk.root, and try again";
  throw new OrcaError("overloaded", "disk", `Cannot clear the disk: ${reason}`);
}

/** Deletes one chunk at a time, so that reads of clients run in between. */
async function discardAll(disk: ClearedDisk, keys: Iterable<string>, signal: AbortSignal): Promise<Cleared> {
  let [chunks, bytes] = [0, 0];
  for (const key of keys) {
    signal.throwIfAborted();
    const sizeBytes = await disk.discard(key);
    checkAnswers(disk);
    if (sizeBytes > 0) chunks += 1;
    bytes += sizeBytes;
  }
  return { chunks, bytes };
}

/** Calls `visit` with the key of each chunk below `prefix`, until it returns false. @throws like {@link clearDisk}. */
export async function visitDisk(
  disk: ClearedDisk,
  prefix: ObjectPrefix,
  signal: AbortSignal,
  visit: (objectKey: string) => boolean,
): Promise<void> {
  const audit = new DiskAudit();
  try {
    for (const fanOut of fanOuts) {
      signal.throwIfAborted();
      const found = await audit.identify(join(disk.directory, fanOut));
      for (const chunk of found) if (isBelow(prefix, chunk) && !visit(chunk.objectKey)) return;
    }
  } finally {
    await audit.close();
  }
}
