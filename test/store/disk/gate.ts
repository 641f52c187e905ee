/**
 * A file system that hangs as a network mount does. A thread that makes a gated call stops in the kernel, in open(2) of
 * a named pipe without a writer, until the test opens the gate. While the pipe does not exist, no call hangs.
 */
import { execFileSync } from "node:child_process";
import fs from "node:fs";
import { join } from "node:path";
import { type MessagePort, parentPort, workerData } from "node:worker_threads";
import { type CallFileSystem, serveFileCalls } from "../../../src/store/cachestore/posix/file-calls.ts";
import { serveDiskJobs } from "../../../src/store/disk/disk-jobs.ts";
import type { JobFileSystem } from "../../../src/store/disk/job-file-system.ts";

export class Gate {
  readonly #path: string;

  constructor(directory: string) {
    this.#path = join(directory, "gate");
  }

  /** From now on, calls hang. */
  shut(): void {
    execFileSync("mkfifo", [this.#path]);
  }

  /** Ends the hanging calls. From now on, calls do not hang. */
  open(): void {
    const fd = fs.openSync(this.#path, fs.constants.O_RDWR);
    fs.unlinkSync(this.#path);
    fs.closeSync(fd);
  }

  /** A module for `readThreadModule`, in which `call` hangs while the gate is shut. */
  readThread(call: keyof CallFileSystem): URL {
    return this.#module("serveGatedCalls", call);
  }

  /** A module for `writeThreadModule`. */
  writeThread(call: keyof JobFileSystem): URL {
    return this.#module("serveGatedJobs", call);
  }

  #module(serve: string, call: string): URL {
    const parameters = `${JSON.stringify(this.#path)}, ${JSON.stringify(call)}`;
    const source = `import { ${serve} } from "${import.meta.url}"; ${serve}(${parameters});`;
    return new URL(`data:text/javascript,${encodeURIComponent(source)}`);
  }
}

/** Runs in the thread. */
export function serveGatedCalls(path: string, call: keyof CallFileSystem): void {
  serveFileCalls(port(), workerData as SharedArrayBuffer, gated(path, call));
}

/** Runs in the thread. */
export function serveGatedJobs(path: string, call: keyof JobFileSystem): void {
  serveDiskJobs(port(), gated(path, call));
}

function gated(path: string, call: keyof typeof fs): typeof fs {
  const original = fs[call] as (...parameters: unknown[]) => unknown;
  const passGate = (...parameters: unknown[]): unknown => {
    try {
      fs.closeSync(fs.openSync(path, "r"));
    } catch {
      // No gate.
    }
    return original(...parameters);
  };
  return { ...fs, [call]: passGate };
}

function port(): MessagePort {
  if (parentPort === null) throw new Error("a gated thread is a thread");
  return parentPort;
}
