/**
 * Loaded into replicas under attack, and so into each of their threads: a signal collects the garbage of all of them, and
 * gives the pages of V8's heap back that hold little. V8 collects nothing while a thread has nothing to do, so without this
 * what a replica leaks and what it will still collect would look the same. Only the main thread receives signals; it tells
 * the others.
 */
import { isMainThread } from "node:worker_threads";

const channel = new BroadcastChannel("collect garbage");
channel.unref();
if (isMainThread) {
  process.on("SIGUSR2", () => {
    channel.postMessage("");
    collect();
  });
} else channel.onmessage = collect;

function collect(): void {
  globalThis.gc?.({ type: "major", execution: "sync", flavor: "last-resort" });
}
