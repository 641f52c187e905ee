/** Blocks on disk, be their chunk whole there or partial. */
import { segmentSizeBytes } from "../base/memory-budget.ts";
import type { ChunkKey, ChunkStore, MemoryHold, Presence } from "../store/chunk-store.ts";
import { type Waiting, watched } from "../trace/stalls/stall-watch.ts";
import { chunkFields } from "../trace/trace.ts";
import type { Flight } from "./flight.ts";

/** What the disk believes of a block, without I/O. */
export function blockPresence(disk: ChunkStore, key: ChunkKey, blockIndex: number): Presence {
  return blockPresences(disk, key)(blockIndex);
}

/** {@link blockPresence} for many blocks of a chunk: the disk is asked about the chunk once. */
export function blockPresences(
  disk: ChunkStore | undefined,
  key: ChunkKey,
): (blockIndex: number) => Presence {
  const presence = disk?.presence(key) ?? "absent";
  const partial = disk?.partial;
  // Until a disk's scan has ended, only a read can tell of a block, as of a chunk.
  if (!partial || presence !== "absent") return () => presence;
  return (blockIndex) => (partial.holds(key, blockIndex) ? "held" : presence);
}

/** `waiting`: what waits for the block. @see ChunkStore.readBlock */
export function readDiskBlock(
  disk: ChunkStore,
  key: ChunkKey,
  blockIndex: number,
  target: Buffer,
  hold: MemoryHold,
  waiting?: Waiting,
): Promise<boolean> {
  const read = (): Promise<boolean> => readHeldBlock(disk, key, blockIndex, target, hold);
  return watched(waiting, "disk", "read", waiting ? { ...chunkFields(key), block: blockIndex } : {}, read);
}

async function readHeldBlock(
  disk: ChunkStore,
  key: ChunkKey,
  blockIndex: number,
  target: Buffer,
  hold: MemoryHold,
): Promise<boolean> {
  const { partial } = disk;
  const isPartial = partial?.holds(key, blockIndex) ?? false;
  if (
    (!isPartial || disk.presence(key) !== "absent") &&
    (await disk.readBlock(key, blockIndex, target, hold))
  ) {
    return true;
  }
  // A read that a disk which was set aside has given up may still write into `target`.
  if (!partial || !isPartial || disk.isSetAside) return false;
  return partial.readBlock(key, blockIndex, target, hold);
}

/**
 * Fills a flight front to back from disk. Where the disk fails half-way, the rest is fetched as by any other flight. False
 * where the disk was set aside: a read that it has given up may still write into the flight's memory, so the flight ends,
 * and its readers look again.
 */
export async function readRunFromDisk(disk: ChunkStore | undefined, flight: Flight): Promise<boolean> {
  if (!disk) return true;
  const { key, sink } = flight;
  while (flight.filled < flight.to) {
    const { filled } = flight;
    const block = sink.space();
    const blockIndex = Math.floor(filled / segmentSizeBytes);
    if (!(await readDiskBlock(disk, key, blockIndex, block, flight.segmentAt(filled), flight.trace))) {
      return !disk.isSetAside;
    }
    sink.advance(block.length);
  }
  return true;
}
