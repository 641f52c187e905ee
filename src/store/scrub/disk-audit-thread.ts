/**
 * The thread behind disk-audit.ts: it answers questions about the files on disk, one at a time. A check is answered
 * block by block and goes on only when the caller asks for the next block, so the caller sets the pace.
 *
 * Reading a MiB takes the disk's time, and its SHA-256 takes 0.6 ms of processor time. So this thread runs at the lowest
 * priority, like the thread that writes.
 */
import fs from "node:fs";
import { setPriority } from "node:os";
import { join } from "node:path";
import { parentPort } from "node:worker_threads";
import { assert } from "../../base/assert.ts";
import type { NamedObject } from "../../chunk/object-prefix.ts";
import { originIdOf } from "../../chunk/object-version.ts";
import { blockSizeBytes, chunkPathOfFileName } from "../chunk-file/chunk-file.ts";
import { checkChunkFile, identifyChunkFile } from "../chunk-file/chunk-file-check.ts";
import type { DiskFault } from "../chunk-file/disk-file.ts";
import { systemErrorCode } from "../disk/job-file-system.ts";

export type AuditQuestion =
  /** The names in a directory, in order. */
  | { readonly kind: "list"; readonly directory: string }
  /** The chunks in a directory, as their footers describe them. */
  | { readonly kind: "identify"; readonly directory: string }
  /** Begins a check, and abandons the one that runs. */
  | { readonly kind: "check"; readonly path: string; readonly key: string }
  | { readonly kind: "next" };

export interface IdentifiedChunk extends NamedObject {
  /** The chunk path. */
  readonly key: string;
}

export type AuditAnswer =
  | { readonly kind: "listed"; readonly names: readonly string[] }
  | { readonly kind: "identified"; readonly chunks: readonly IdentifiedChunk[] }
  /** The next `lengthBytes` are right; the next question is `next`. */
  | { readonly kind: "read"; readonly lengthBytes: number }
  | { readonly kind: "checked"; readonly fault: DiskFault | undefined }
  /** A directory cannot be read; `code` is the system's error. */
  | { readonly kind: "failed"; readonly code: string };

const niceness = 19;

class AuditServer {
  readonly #scratch = Buffer.alloc(blockSizeBytes);
  #check: Generator<number, DiskFault | undefined, void> | undefined;

  /** Never throws for an error of the file system. Any other error is a bug and ends the thread. */
  answer(question: AuditQuestion): AuditAnswer {
    switch (question.kind) {
      case "list":
        return inDirectory(question.directory, (names) => ({ kind: "listed", names }));
      case "identify":
        return inDirectory(question.directory, (names) => ({
          kind: "identified",
          chunks: names.flatMap((name) => identify(question.directory, name)),
        }));
      case "check":
        this.#check?.return(undefined);
        this.#check = checkChunkFile(fs, question.path, question.key, this.#scratch);
        return this.#next();
      case "next":
        return this.#next();
    }
  }

  #next(): AuditAnswer {
    const step = this.#check?.next();
    if (step && !step.done) return { kind: "read", lengthBytes: step.value };
    this.#check = undefined;
    return { kind: "checked", fault: step?.value };
  }
}

/** A directory that does not exist holds nothing. */
function inDirectory(directory: string, answer: (names: string[]) => AuditAnswer): AuditAnswer {
  try {
    return answer(fs.readdirSync(directory).sort());
  } catch (error) {
    const code = systemErrorCode(error);
    if (code === undefined) throw error;
    return code === "ENOENT" ? answer([]) : { kind: "failed", code };
  }
}

function identify(directory: string, name: string): IdentifiedChunk[] {
  const key = chunkPathOfFileName(name);
  const identity = key && identifyChunkFile(fs, join(directory, name));
  if (!key || !identity) return [];
  const { originId, bucket, objectKey } = identity;
  return [{ key, originId: originIdOf(originId), bucket, objectKey }];
}

try {
  setPriority(0, niceness);
} catch {
  // A sandbox may forbid it. Then the thread runs at normal priority.
}
const port = parentPort;
assert(port !== null, "the audit thread is started as a thread");
const server = new AuditServer();
port.on("message", (question: AuditQuestion) => port.postMessage(server.answer(question)));
