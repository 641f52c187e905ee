import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { PutQueue } from "../../../../src/store/cachestore/s3/put-queue.ts";
import { settle } from "../../../support/fake-clock.ts";
import { rejectsWith } from "../../../support/rejects-with.ts";

/** Puts of 10 bytes, in the order of their start; the test ends each of them. */
function scripted(runningMax: number) {
  const queue = new PutQueue(runningMax);
  const started: {
    readonly name: string;
    readonly end: () => void;
    readonly fail: (reason: unknown) => void;
  }[] = [];
  const put = (name: string): Promise<string> =>
    queue.run(10, async () => {
      const { promise, resolve, reject } = Promise.withResolvers<void>();
      started.push({ name, end: resolve, fail: reject });
      await promise;
      return name;
    });
  const names = (): string[] => started.map(({ name }) => name);
  return { queue, started, put, names };
}

suite("PutQueue", () => {
  test("run: a few at once, the others in the order of arrival", async () => {
    const { queue, started, put, names } = scripted(2);
    const puts = ["a", "b", "c", "d"].map(put);
    assert.deepEqual(names(), ["a", "b"]);
    assert.equal(queue.waiting, 2);
    assert.equal(queue.pendingBytes, 40);
    started[1]?.end();
    await settle();
    assert.deepEqual(names(), ["a", "b", "c"]);
    for (const index of [0, 2]) started[index]?.end();
    await settle();
    started[3]?.end();
    assert.deepEqual(await Promise.all(puts), ["a", "b", "c", "d"]);
    assert.deepEqual([queue.running, queue.waiting, queue.pendingBytes], [0, 0, 0]);
  });

  test("run: a put that fails starts the next one, too", async () => {
    const { queue, started, put, names } = scripted(1);
    const failed = assert.rejects(put("a"), /broken/);
    const next = put("b");
    started[0]?.fail(new Error("broken"));
    await failed;
    await settle();
    assert.deepEqual(names(), ["a", "b"]);
    started[1]?.end();
    await next;
    assert.equal(queue.pendingBytes, 0);
  });

  test("dropQueued: drops the newest of the waiting puts, as many as needed, and never a running one", async () => {
    const { queue, started, put } = scripted(1);
    const kept = [put("a"), put("b")];
    const dropped = [put("c"), put("d")].map((each) => rejectsWith("overloaded", each));
    queue.dropQueued(11);
    assert.equal(queue.waiting, 1);
    // The same memory is wanted again, before it could be released.
    queue.dropQueued(20);
    assert.equal(queue.waiting, 1);
    await Promise.all(dropped);
    await settle();
    assert.equal(queue.pendingBytes, 20);
    const last = rejectsWith("overloaded", kept[1] as Promise<string>);
    queue.dropQueued(1000);
    await last;
    started[0]?.end();
    await kept[0];
    assert.equal(queue.stats.dropped, 3);
    assert.equal(queue.pendingBytes, 0);
  });

  test("drain, clear: no more puts are accepted; waiting puts run or are dropped", async () => {
    const { queue, started, put } = scripted(1);
    const running = put("a");
    const waiting = rejectsWith("overloaded", put("b"));
    let drained = false;
    const draining = queue.drain().then(() => {
      drained = true;
    });
    await rejectsWith("overloaded", put("c"));
    queue.clear();
    await waiting;
    assert.ok(!drained);
    started[0]?.end();
    await running;
    await draining;
    await queue.drain();
  });
});
