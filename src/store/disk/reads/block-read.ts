/**
 * The messages between the event loop and a thread that reads blocks, and the work of that thread: one read into shared
 * memory, and the sums of what was read. The event loop compares them, so a thread has no state.
 */
import type { MessagePort } from "node:worker_threads";
import { BlockSummer, type SumKind, type SummedRead } from "../../chunk-file/block-sums.ts";
import { systemErrorCode } from "../job-file-system.ts";

export interface BlockRead {
  readonly fd: number;
  /** In shared memory, as long as the block. */
  readonly target: Uint8Array;
  readonly position: number;
  readonly kind: SumKind;
}

export type BlockReadReply = SummedRead | { readonly code: string };

export interface BlockFileSystem {
  readonly readSync: (
    fd: number,
    target: Uint8Array,
    targetOffset: number,
    lengthBytes: number,
    position: number,
  ) => number;
}

/** Reads the blocks that are asked for at a port, one at a time, and answers each. `key`: of their tags. */
export function serveBlockReads(port: MessagePort, key: Uint8Array, fileSystem: BlockFileSystem): void {
  const summer = new BlockSummer(key);
  port.on("message", (read: BlockRead) => {
    port.postMessage(runBlockRead(fileSystem, summer, read) satisfies BlockReadReply);
  });
}

/** Never throws for an error of the file system. Any other error is a bug and ends the thread. */
function runBlockRead(
  fileSystem: BlockFileSystem,
  summer: BlockSummer,
  { fd, target, position, kind }: BlockRead,
): BlockReadReply {
  try {
    const bytesRead = fileSystem.readSync(fd, target, 0, target.length, position);
    return { bytesRead, sums: bytesRead === target.length ? summer.sums(kind, target) : undefined };
  } catch (error) {
    const code = systemErrorCode(error);
    if (code === undefined) throw error;
    return { code };
  }
}
