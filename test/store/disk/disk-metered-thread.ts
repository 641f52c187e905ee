/**
 * A disk thread that measures the whole directory before it links each chunk, when most bytes are there. More bytes
 * than the limit are a bug, which ends the thread. Only this thread creates files, so all the bytes that it counts are
 * there at the same time.
 */
import fs from "node:fs";
import { dirname, join } from "node:path";
import { parentPort } from "node:worker_threads";
import { serveDiskJobs } from "../../../src/store/disk/disk-jobs.ts";

/** A module for `threadModule`. A worker receives only its module, so the limit is part of the module. */
export function meteredThread(bytesMax: number): URL {
  const source = `import { serveMetered } from "${import.meta.url}"; serveMetered(${bytesMax});`;
  return new URL(`data:text/javascript,${encodeURIComponent(source)}`);
}

/** Runs in the thread. */
export function serveMetered(bytesMax: number): void {
  if (parentPort === null) throw new Error("a metered thread is a thread");
  const linkSync: typeof fs.linkSync = (from, to) => {
    const bytes = bytesBelow(dirname(dirname(String(from))));
    if (bytes > bytesMax) throw new Error(`${bytes} bytes are on disk, at most ${bytesMax} may be`);
    fs.linkSync(from, to);
  };
  serveDiskJobs(parentPort, { ...fs, linkSync });
}

function bytesBelow(directory: string): number {
  let bytes = 0;
  for (const entry of fs.readdirSync(directory, { withFileTypes: true })) {
    const path = join(directory, entry.name);
    if (entry.isDirectory()) bytes += bytesBelow(path);
    else bytes += fs.statSync(path, { throwIfNoEntry: false })?.size ?? 0;
  }
  return bytes;
}
