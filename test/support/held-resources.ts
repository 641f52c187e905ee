/**
 * What this process holds that would keep it alive: handles, requests and timers of Node, and worker threads. A test
 * compares two moments, because the runner and the test's own servers hold something as well.
 */
import assert from "node:assert/strict";
import type { Worker } from "node:worker_threads";

/** Enough turns of the event loop for a handle that is being closed to be gone. */
const closingTurns = 10;
const releasingTurnsMax = 200;

const workers = new Set<Worker>();

process.on("worker", (worker: Worker) => workers.add(worker));

/** One line for each thing held, sorted. */
export async function heldResources(): Promise<string[]> {
  for (let turn = 0; turn < closingTurns; turn += 1) await nextTurn();
  return held();
}

/** Resolves when no more is held than `before`. */
export async function released(before: readonly string[]): Promise<void> {
  for (let turn = 0; turn < releasingTurnsMax && moreThan(before).length > 0; turn += 1) await nextTurn();
  assert.deepEqual(moreThan(before), [], "what is still held");
}

function held(): string[] {
  const resources = process.getActiveResourcesInfo().filter((kind) => kind !== "Immediate");
  for (const worker of workers) {
    // A worker that has ended has no id any more.
    if (worker.threadId === -1) workers.delete(worker);
    else resources.push(`thread ${worker.threadName}`);
  }
  return resources.sort();
}

function moreThan(before: readonly string[]): string[] {
  const rest = [...before];
  return held().filter((each) => {
    const index = rest.indexOf(each);
    if (index !== -1) rest.splice(index, 1);
    return index === -1;
  });
}

function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
