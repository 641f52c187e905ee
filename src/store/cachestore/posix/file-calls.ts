/**
 * The thread's side of timely-file-system.ts: single calls of a file system, made by a thread that may hang in any of
 * them. It reads into scratch memory that only it and the TimelyFileSystem know. So a read that returns after its
 * deadline overwrites no memory of a caller. The thread makes one call at a time, so the scratch memory keeps the
 * result until the next call.
 */
import type fs from "node:fs";
import type { MessagePort } from "node:worker_threads";
import { systemErrorCode } from "../../disk/job-file-system.ts";

/** The calls that the thread makes: node:fs, or a test's file system that fails or hangs. */
export type CallFileSystem = Pick<
  typeof fs,
  "openSync" | "fstatSync" | "readSync" | "closeSync" | "unlinkSync"
>;

export type FileCall =
  | { readonly kind: "open"; readonly path: string }
  | { readonly kind: "fstat"; readonly fd: number }
  /** At most as long as the scratch memory. */
  | { readonly kind: "read"; readonly fd: number; readonly lengthBytes: number; readonly position: number }
  | { readonly kind: "close"; readonly fd: number }
  | { readonly kind: "unlink"; readonly path: string };

/** `value`: the opened descriptor, the size of the file, the number of bytes read, or 0. `code`: the system's error. */
export type FileCallReply = { readonly value: number } | { readonly code: string };

export function serveFileCalls(
  port: MessagePort,
  scratch: SharedArrayBuffer,
  fileSystem: CallFileSystem,
): void {
  const target = Buffer.from(scratch);
  port.on("message", (call: FileCall) => port.postMessage(answer(fileSystem, call, target)));
}

/** Never throws for an error of the file system. Any other error is a bug and ends the thread. */
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
