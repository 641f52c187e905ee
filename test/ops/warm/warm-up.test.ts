import assert from "node:assert/strict";
import { test } from "node:test";
import { MiB } from "../../../src/base/units.ts";
import type { ObjectVersion } from "../../../src/chunk/object-version.ts";
import type { ClusterWarmer, WarmedChunk } from "../../../src/fill/warming/cluster-warmer.ts";
import type { Bucket } from "../../../src/object/bucket.ts";
import type { WarmObject, WarmSource } from "../../../src/ops/warm/warm-source.ts";
import { WarmUp } from "../../../src/ops/warm/warm-up.ts";
import { FakeClock } from "../../support/fake-clock.ts";

const version = { chunkCount: 2, sizeBytes: 2 * MiB, etag: "e", chunkLength: () => MiB };
const bucket = {
  name: "m",
  faultOf: () => undefined,
  locate: (key: string) => ({ bucket: "m", key }),
  directory: { originId: "o", lookup: async () => ({ kind: "found", record: { version } }) },
} as unknown as Bucket;

/** The first pass lists `k`. In the second one the listing fails after it, as soon as `mayFail` resolves. */
function failingSource(mayFail: Promise<void>): WarmSource {
  let passes = 0;
  return {
    title: "s3://m/",
    name: "pm/",
    handed: { prefix: "m/" },
    isUpTo: () => false,
    async *objects(): AsyncGenerator<WarmObject> {
      passes += 1;
      yield { bucket, key: "k", sizeBytes: version.sizeBytes, mark: "k" };
      if (passes === 1) return;
      await mayFail;
      throw new Error("the origin fails");
    },
  };
}

test("WarmUp.run: where a listing fails it ends the chunks in flight, and resolves when they have ended", async () => {
  const [begun, gate] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  let running = 0;
  const fill = async (
    _key: { readonly version: ObjectVersion },
    _pace: unknown,
    signal: AbortSignal,
  ): Promise<WarmedChunk> => {
    running += 1;
    if (running === 2) begun.resolve();
    await new Promise((resolve) => signal.addEventListener("abort", resolve));
    await gate.promise;
    running -= 1;
    signal.throwIfAborted();
    throw new Error("it was not stopped");
  };
  const warmer = { members: ["r0"], fill } as unknown as ClusterWarmer;
  const warmUp = new WarmUp(
    {
      source: failingSource(begun.promise),
      after: "",
      isDryRun: false,
      bytesPerSecond: undefined,
      pinUntilMs: 0,
    },
    { warmer, origins: new Map(), clock: new FakeClock() },
    "0".repeat(32),
  );
  let hasEnded = false;
  const run = warmUp.run(new AbortController().signal).then(() => {
    hasEnded = true;
  });
  await begun.promise;
  for (let turn = 0; turn < 20; turn += 1) await new Promise(setImmediate);
  assert.deepEqual([running, hasEnded, warmUp.document.state], [2, false, "failed"]);
  gate.resolve();
  await run;
  assert.equal(running, 0);
  assert.match(warmUp.document.reason ?? "", /the origin fails/);
});

test("WarmUp.document: an object that has grown since it was listed does not make a pass longer than its total", async () => {
  const source: WarmSource = {
    title: "s3://m/",
    name: "pm/",
    handed: { prefix: "m/" },
    isUpTo: () => false,
    async *objects(): AsyncGenerator<WarmObject> {
      yield { bucket, key: "k", sizeBytes: MiB, mark: "k" };
    },
  };
  const held = { result: "held", reason: undefined, isOutdated: false };
  const warmer = { members: ["r0"], fill: async () => held, look: async () => held };
  const warmUp = new WarmUp(
    { source, after: "", isDryRun: false, bytesPerSecond: undefined, pinUntilMs: 0 },
    { warmer: warmer as unknown as ClusterWarmer, origins: new Map(), clock: new FakeClock() },
    "0".repeat(32),
  );
  await warmUp.run(new AbortController().signal);
  const { state, pass_bytes: done, pass_total_bytes: total } = warmUp.document;
  assert.deepEqual([state, done, total], ["complete", 2 * MiB, 2 * MiB]);
});
