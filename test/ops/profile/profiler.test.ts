import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { closeSync, constants, mkdtempSync, openSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { setImmediate } from "node:timers/promises";
import { Worker } from "node:worker_threads";
import { SystemClock } from "../../../src/base/clock.ts";
import { answerMs, Profiler } from "../../../src/ops/profile/profiler.ts";
import { FakeClock } from "../../support/fake-clock.ts";

const never = new AbortController().signal;

/** Runs `source` in a thread until the test ends. Resolves when the thread says that it is there. */
async function threadOf(context: TestContext, name: string, source: string, data?: unknown): Promise<Worker> {
  const head =
    'const { parentPort, workerData } = require("node:worker_threads"); parentPort.postMessage(0);';
  const worker = new Worker(`${head}\n${source}`, { eval: true, name, workerData: data });
  context.after(() => worker.terminate());
  await new Promise((resolve) => worker.once("message", resolve));
  return worker;
}

/** Advances the clock when so many timers wait. */
async function advanceAt(clock: FakeClock, timers: number, byMs: number): Promise<void> {
  while (clock.pendingTimers < timers) await setImmediate();
  await clock.advance(byMs);
}

interface CpuProfile {
  readonly nodes: readonly { readonly callFrame: { readonly functionName: string } }[];
  readonly samples: readonly number[];
}

test("Profiler: a thread in an endless loop has a profile", async (context) => {
  await threadOf(context, "orca-edge-4", "for (;;);");
  const request = { kind: "cpu", durationMs: 500, thread: "4" } as const;
  const [taken] = (await new Profiler(new SystemClock()).take(request, never)) ?? [];
  assert.equal(taken?.thread, "orca-edge-4");
  const { nodes, samples } = JSON.parse(taken?.text ?? "null") as CpuProfile;
  assert.ok(samples.length > 10);
  assert.ok(nodes.every(({ callFrame }) => callFrame.functionName !== "(idle)"));
});

test("Profiler: a thread that is silent is named after its time, and the others have profiles", async (context) => {
  const clock = new FakeClock();
  const folder = mkdtempSync(join(tmpdir(), "orca-profiler-"));
  const pipe = join(folder, "pipe");
  execFileSync("mkfifo", [pipe]);
  context.after(() => rmSync(folder, { recursive: true }));
  // Opening a pipe waits for somebody who writes.
  await threadOf(context, "silent", 'require("node:fs").openSync(workerData)', pipe);
  await threadOf(context, "idle", "setInterval(() => {}, 1000)");
  await threadOf(context, "idle", "setInterval(() => {}, 1000)");
  const profiler = new Profiler(clock);
  const taking = profiler.take({ kind: "cpu", durationMs: 1000 }, never);
  // Three sleeps, and four bounds.
  await advanceAt(clock, 7, 1000);
  await advanceAt(clock, 1, 0);
  while (clock.pendingTimers > 1) await setImmediate();
  assert.equal(await profiler.take({ kind: "cpu", durationMs: 1000 }, never), undefined, "one at a time");
  await clock.advance(answerMs);
  const taken = (await taking) ?? [];
  closeSync(openSync(pipe, constants.O_WRONLY));
  assert.deepEqual(
    taken.map(({ thread, fault }) => [thread, fault]),
    [
      ["main", undefined],
      ["silent", "no answer within 6 s: it hangs in a call"],
      ["idle", undefined],
      ["idle-2", undefined],
    ],
  );
  const heap = profiler.take({ kind: "heap", durationMs: 1000, thread: "idle-2" }, never);
  await advanceAt(clock, 2, 1000);
  assert.match((await heap)?.[0]?.text ?? "", /^\{"head":/);
});

test("Profiler: a thread that ends has no profile, and no timer is left", async (context) => {
  const clock = new FakeClock();
  const worker = await threadOf(context, "short", "setInterval(() => {}, 1000)");
  const taking = new Profiler(clock).take({ kind: "cpu", durationMs: 1000 }, never);
  while (clock.pendingTimers < 4) await setImmediate();
  await worker.terminate();
  await clock.advance(1000);
  const taken = (await taking) ?? [];
  assert.equal(taken[0]?.fault, undefined);
  assert.equal(taken[1]?.thread, "short");
  assert.equal(taken[1]?.fault, "the thread ended");
  assert.equal(clock.pendingTimers, 0);
});
