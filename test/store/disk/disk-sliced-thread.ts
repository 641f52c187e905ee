/** A disk thread that ends if a job has more victims than one slice. The event loop names all victims of a job in one turn. */
import fs from "node:fs";
import { MessageChannel, parentPort } from "node:worker_threads";
import type { DiskJob } from "../../../src/store/disk/disk-job.ts";
import { serveDiskJobs } from "../../../src/store/disk/disk-jobs.ts";

/** A module for `threadModule`. A worker receives only its module, so the limit is part of the module. */
export function slicedThread(victimsMax: number): URL {
  const source = `import { serveSliced } from "${import.meta.url}"; serveSliced(${victimsMax});`;
  return new URL(`data:text/javascript,${encodeURIComponent(source)}`);
}

/** Runs in the thread. */
export function serveSliced(victimsMax: number): void {
  const port = parentPort;
  if (port === null) throw new Error("a sliced thread is a thread");
  const checked = new MessageChannel();
  port.on("message", (job: DiskJob) => {
    const count = "victims" in job ? job.victims.length : 0;
    if (count > victimsMax) throw new Error(`a job has ${count} victims, at most ${victimsMax}`);
    checked.port1.postMessage(job);
  });
  checked.port1.on("message", (reply: unknown) => port.postMessage(reply));
  serveDiskJobs(checked.port2, fs);
}
