/**
 * The far end of timely-file-system.ts: single calls of a file system, made by a thread that may hang in any of them.
 * What is read goes into scratch memory that the thread shares with the other end and nobody else knows, so that a read
 * that comes back when nobody waits for it any more has written over nothing. One call at a time, so scratch is
 * the answer's until the next call.
 */
import type fs from "node:fs";
import type { MessagePort } from "node:worker_threads";
import { systemErrorCode } from "../../disk/job-file-system.ts";

/** The calls made: node:fs, or a test's file system that fails or hangs. */
export type CallFileSystem = Pick<
  typeof fs,
  "openSync" | "fstatSync" | "readSync" | "closeSync" | "unlinkSync"
>;

export type FileCall =
  | { readonly kind: "open"; readonly path: string }
  | { readonly kind: "fstat"; readonly fd: number }
  /** No longer than scratch is. */
  | { readonly kind: "read"; readonly fd: number; readonly lengthBytes: number; readonly position: number }
  | { readonly kind: "close"; readonly fd: number }
  | { readonly kind: "unlink"; readonly path: string };

/** `value`: the descriptor that was opened, the size of the file, the bytes read, else 0. `code`: the system's error. */
export type FileCallReply = { readonly value: number } | { readonly code: string };

export function serveFileCalls(
  port: MessagePort,
  scratch: SharedArrayBuffer,
  fileSystem: CallFileSystem,
): void {
  const target = Buffer.from(scratch);
  port.on("message", (call: FileCall) => port.postMessage(answer(fileSystem, call, target)));
}

/** Never throws for what a file system can do; whatever else is thrown is a bug and ends the thread. */
function answer(fileSystem: CallFileSystem, call: FileCall, target: Buffer): FileCallReply {
  try {
    return { value: make(fileSystem, call, target) };
  } catch (error) {
    const code = systemErrorCode(error);
    if (code === undefined) throw error;
    return { code };
  }
}

function make(fileSystem: CallFileSystem, call: FileCall, target: Buffer): number {
  switch (call.kind) {
    case "open":
      return fileSystem.openSync(call.path, "r");
    case "fstat":
      return fileSystem.fstatSync(call.fd).size;
    case "read":
      return fileSystem.readSync(call.fd, target, 0, call.lengthBytes, call.position);
    case "close":
      fileSystem.closeSync(call.fd);
      return 0;
    case "unlink":
      fileSystem.unlinkSync(call.path);
      return 0;
  }
}
