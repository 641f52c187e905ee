/**
 * The far end of disk-audit.ts: answers questions about what lies on the disk, one at a time, from a thread that has
 * nothing else to do. A check is answered block by block, and goes on when it is told to, so that the pace is set by
 * whoever asks.
 */
import type fs from "node:fs";
import { join } from "node:path";
import type { MessagePort } from "node:worker_threads";
import type { NamedObject } from "../../chunk/object-prefix.ts";
import { blockSizeBytes, chunkPathOfFileName } from "../chunk-file/chunk-file.ts";
import { type CheckFileSystem, checkChunkFile, identifyChunkFile } from "../chunk-file/chunk-file-check.ts";
import type { DiskFault } from "../chunk-file/disk-file.ts";
import { systemErrorCode } from "../disk/job-file-system.ts";

export type AuditFileSystem = CheckFileSystem & Pick<typeof fs, "readdirSync">;

export type AuditQuestion =
  /** The names in a directory, in order. */
  | { readonly kind: "list"; readonly directory: string }
  /** The chunks in a directory, by what their footers say. */
  | { readonly kind: "identify"; readonly directory: string }
  /** Begins a check; one that runs is left. */
  | { readonly kind: "check"; readonly path: string; readonly key: string }
  | { readonly kind: "next" };

export interface IdentifiedChunk extends NamedObject {
  /** The chunk path. */
  readonly key: string;
}

export type AuditAnswer =
  | { readonly kind: "listed"; readonly names: readonly string[] }
  | { readonly kind: "identified"; readonly chunks: readonly IdentifiedChunk[] }
  /** So many bytes more are right; the next question is `next`. */
  | { readonly kind: "read"; readonly lengthBytes: number }
  | { readonly kind: "checked"; readonly fault: DiskFault | undefined }
  /** The code of the system's error, where a directory cannot be read. */
  | { readonly kind: "failed"; readonly code: string };

export function serveAudit(port: MessagePort, fileSystem: AuditFileSystem): void {
  const server = new AuditServer(fileSystem);
  port.on("message", (question: AuditQuestion) => port.postMessage(server.answer(question)));
}

class AuditServer {
  readonly #fileSystem: AuditFileSystem;
  readonly #scratch = Buffer.alloc(blockSizeBytes);
  #check: Generator<number, DiskFault | undefined, void> | undefined;

  constructor(fileSystem: AuditFileSystem) {
    this.#fileSystem = fileSystem;
  }

  /** Never throws for what a file system can do; whatever else is thrown is a bug and ends the thread. */
  answer(question: AuditQuestion): AuditAnswer {
    switch (question.kind) {
      case "list":
        return this.#inDirectory(question.directory, (names) => ({ kind: "listed", names }));
      case "identify":
        return this.#inDirectory(question.directory, (names) => ({
          kind: "identified",
          chunks: names.flatMap((name) => this.#identify(question.directory, name)),
        }));
      case "check":
        this.#check?.return(undefined);
        this.#check = checkChunkFile(this.#fileSystem, question.path, question.key, this.#scratch);
        return this.#goOn();
      case "next":
        return this.#goOn();
    }
  }

  #goOn(): AuditAnswer {
    const step = this.#check?.next();
    if (step && !step.done) return { kind: "read", lengthBytes: step.value };
    this.#check = undefined;
    return { kind: "checked", fault: step?.value };
  }

  /** A directory that is not there holds nothing. */
  #inDirectory(directory: string, answer: (names: string[]) => AuditAnswer): AuditAnswer {
    try {
      return answer(this.#fileSystem.readdirSync(directory).sort());
    } catch (error) {
      const code = systemErrorCode(error);
      if (code === undefined) throw error;
      return code === "ENOENT" ? answer([]) : { kind: "failed", code };
    }
  }

  #identify(directory: string, name: string): IdentifiedChunk[] {
    const key = chunkPathOfFileName(name);
    const identity = key && identifyChunkFile(this.#fileSystem, join(directory, name));
    if (!key || !identity) return [];
    const { originId, bucket, objectKey } = identity;
    return [{ key, originId, bucket, objectKey }];
  }
}
