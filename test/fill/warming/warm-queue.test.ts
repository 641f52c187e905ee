import assert from "node:assert/strict";
import { test } from "node:test";
import { MiB } from "../../../src/base/units.ts";
import { ObjectVersion } from "../../../src/chunk/object-version.ts";
import type { ClusterWarmer } from "../../../src/fill/warming/cluster-warmer.ts";
import { WarmQueue } from "../../../src/fill/warming/warm-queue.ts";
import { FakeClock, settle } from "../../support/fake-clock.ts";
import { RecordedLogger } from "../../support/recorded-logger.ts";

function versionOf(objectKey: string): ObjectVersion {
  const fields = { originId: "o", bucket: "b", etag: "e", sizeBytes: 3 * MiB, chunkSizeBytes: MiB };
  return new ObjectVersion({ ...fields, objectKey });
}

function queueOf() {
  const asked: { readonly name: string; readonly end: (reason?: string, isOutdated?: boolean) => void }[] =
    [];
  const warmer = {
    members: [undefined],
    fill: (
      { version, index }: { version: ObjectVersion; index: number },
      _pace: undefined,
      signal: AbortSignal,
    ) => {
      const { promise, resolve, reject } = Promise.withResolvers<object>();
      signal.addEventListener("abort", () => reject(signal.reason));
      const end = (reason?: string, isOutdated = false): void =>
        resolve({ result: reason ? "missing" : "filled", reason, isOutdated });
      asked.push({ name: `${version.objectKey} ${index}`, end });
      return promise;
    },
  } as unknown as ClusterWarmer;
  const logger = new RecordedLogger();
  return { asked, logger, queue: new WarmQueue({ warmer, clock: new FakeClock(), logger }) };
}

test("WarmQueue: one object after the other, each once, a few chunks at a time", async () => {
  const { asked, logger, queue } = queueOf();
  for (const key of ["a", "b", "a"]) assert.equal(queue.add(versionOf(key)), "queued");
  assert.equal(queue.waiting, 2);
  await settle();
  assert.deepEqual(
    asked.map(({ name }) => name),
    ["a 0", "a 1"],
  );
  for (let count = 0; count < 6; count += 1) {
    asked[count]?.end(count === 5 ? "the disk is full" : undefined);
    await settle();
  }
  assert.deepEqual(
    asked.map(({ name }) => name),
    ["a 0", "a 1", "a 2", "b 0", "b 1", "b 2"],
  );
  assert.deepEqual([queue.waiting, queue.stats], [0, { complete: 1, incomplete: 1, full: 0 }]);
  assert.match(JSON.stringify(logger.events), /Cannot warm all of an object .*|the disk is full/);
  assert.equal(queue.add(versionOf("c")), "queued");
  await settle();
  assert.equal(asked.at(-1)?.name, "c 1");
  await queue.stop();
});

test("WarmQueue: holds 1,000 objects, turns away the next, and a stop ends all", async () => {
  const { queue } = queueOf();
  for (let count = 0; count < 1000; count += 1) assert.equal(queue.add(versionOf(`k${count}`)), "queued");
  assert.equal(queue.add(versionOf("one more")), "full");
  await queue.stop();
  assert.equal(queue.waiting, 0);
  assert.equal(queue.add(versionOf("late")), "full");
  assert.equal(queue.stats.full, 2);
});

test("WarmQueue: of a version that the origin has no more, no further chunk is asked for", async () => {
  const { asked, queue } = queueOf();
  for (const key of ["a", "b"]) assert.equal(queue.add(versionOf(key)), "queued");
  await settle();
  asked[0]?.end("the object has changed", true);
  asked[1]?.end("the object has changed", true);
  await settle();
  assert.deepEqual(
    asked.map(({ name }) => name),
    ["a 0", "a 1", "b 0", "b 1"],
  );
  assert.deepEqual([queue.waiting, queue.stats.incomplete], [1, 1]);
  await queue.stop();
});
