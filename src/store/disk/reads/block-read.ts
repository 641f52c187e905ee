/**
 * The messages between the event loop and a thread that reads blocks, and the work of that thread: one read into shared
 * memory, and the sums of what was read. The event loop compares them, so a thread has no state. A small file is opened,
 * read, checked and closed in one message (small-file.ts).
 */
import type { MessagePort } from "node:worker_threads";
import { BlockSummer, type SumKind, type SummedRead } from "../../chunk-file/block-sums.ts";
import { systemErrorCode } from "../job-file-system.ts";
import { type SmallFileJob, SmallFileReader, type SmallFileSystem } from "./small-file.ts";

export interface BlockRead {
  readonly fd: number;
  /** In shared memory, as long as the block. */
  readonly target: Uint8Array;
  readonly position: number;
  readonly kind: SumKind;
}

/** A list, because an object costs half as much again on its way, and both threads pay. */
export type BlockReadJob = readonly [fd: number, target: Uint8Array, position: number, kind: SumKind];

/** For a whole block its CRC-32, its tag, or both, as asked; else the length of a short read or the code of an error. */
export type BlockReadReply =
  | number
  | bigint
  | readonly [crc: number, tag: bigint]
  | { readonly bytesRead: number }
  | { readonly code: string };

/** What a reply says of a read of `lengthBytes`. */
export function summedRead(
  reply: Exclude<BlockReadReply, { readonly code: string }>,
  lengthBytes: number,
): SummedRead {
  if (typeof reply === "bigint") return { bytesRead: lengthBytes, sums: { crc: 0, tag: reply } };
  if (typeof reply === "number") return { bytesRead: lengthBytes, sums: { crc: reply, tag: 0n } };
  if ("bytesRead" in reply) return { bytesRead: reply.bytesRead, sums: undefined };
  return { bytesRead: lengthBytes, sums: { crc: reply[0], tag: reply[1] } };
}

export interface BlockFileSystem extends SmallFileSystem {
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
  const small = new SmallFileReader(fileSystem);
  // In the thread, a target that was sent is a Uint8Array, which is all that is needed of it.
  port.on("message", (job: BlockReadJob | SmallFileJob) => {
    port.postMessage(isSmallFileJob(job) ? small.read(job) : runBlockRead(fileSystem, summer, job));
  });
}

function isSmallFileJob(job: BlockReadJob | SmallFileJob): job is SmallFileJob {
  return typeof job[0] === "string";
}

/** Never throws for an error of the file system. Any other error is a bug and ends the thread. */
function runBlockRead(
  fileSystem: BlockFileSystem,
  summer: BlockSummer,
  [fd, target, position, kind]: BlockReadJob,
): BlockReadReply {
  let bytesRead: number;
  try {
    bytesRead = fileSystem.readSync(fd, target, 0, target.length, position);
  } catch (error) {
    const code = systemErrorCode(error);
    if (code === undefined) throw error;
    return { code };
  }
  if (bytesRead !== target.length) return { bytesRead };
  const { crc, tag } = summer.sums(kind, target);
  return kind === "crc" ? crc : kind === "tag" ? tag : [crc, tag];
}
