/** A thread that reads blocks, but waits or crashes where a test chooses. */
import fs from "node:fs";
import { parentPort, workerData } from "node:worker_threads";
import { serveBlockReads } from "../../../../src/store/disk/reads/block-read.ts";

export interface ReadThreadFault {
  /** Reads that succeed before. */
  readonly after?: number;
  /** The next read ends the thread. */
  readonly crash?: boolean;
  /** Reads from there on wait until a file of this name exists. They note in `<gate>.waiting` that they wait. */
  readonly gate?: string;
  /** A file of this name is made by the first read. */
  readonly started?: string;
}

/** A module for `readThreadModule`. A worker receives only its module, so the fault is part of the module. */
export function faultyReadThread(fault: ReadThreadFault): URL {
  const source = `import { serveFaulty } from "${import.meta.url}"; serveFaulty(${JSON.stringify(fault)});`;
  return new URL(`data:text/javascript,${encodeURIComponent(source)}`);
}

/** A module that no thread can run: the constructor of Worker throws, as where the system has no thread left. */
export const noThread = new URL("https://invalid/");

/** Runs in the thread. */
export function serveFaulty({ after = 0, crash = false, gate, started }: ReadThreadFault): void {
  if (parentPort === null) throw new Error("a faulty thread is a thread");
  let reads = 0;
  const begin = (): void => {
    reads += 1;
    if (reads === 1 && started !== undefined) fs.writeFileSync(started, "");
    if (reads > after && crash) throw new Error("the reading thread is made to crash");
    if (reads > after && gate !== undefined) {
      fs.writeFileSync(`${gate}.waiting`, "");
      const sleep = new Int32Array(new SharedArrayBuffer(4));
      while (!fs.existsSync(gate)) Atomics.wait(sleep, 0, 0, 2);
    }
  };
  serveBlockReads(parentPort, workerData as Uint8Array, {
    ...fs,
    readSync: (...parameters) => {
      begin();
      return fs.readSync(...parameters);
    },
    readvSync: (...parameters) => {
      begin();
      return fs.readvSync(...parameters);
    },
  });
}
