/** Permits that several threads share: as two of them in this thread, and with a thread that holds one. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { suite, test } from "node:test";
import { Worker } from "node:worker_threads";
import { AssertionFailure } from "../../../src/base/assert.ts";
import type { Permit } from "../../../src/base/semaphore.ts";
import { ProcessLimits } from "../../../src/edge/threads/process-limits.ts";
import { FakeClock, settle } from "../../support/fake-clock.ts";
import { until } from "../../support/until.ts";

const overloaded = { code: "overloaded", source: "edge" };

function fixture(permitsMax: number, queueMax = 10) {
  const clock = new FakeClock();
  const limits = new ProcessLimits();
  const ends = [limits, new ProcessLimits(limits.words)].map((each) =>
    each.semaphore("listings", "a test", permitsMax, clock, queueMax),
  );
  return { clock, limits, ends: ends as [(typeof ends)[0], (typeof ends)[0]] };
}

suite("ProcessSemaphore", () => {
  test("acquire: one thread takes all permits, and a release there serves the waiter of the other", async () => {
    const { ends } = fixture(2);
    const held = [await ends[0].acquire(1000), await ends[0].acquire(1000)];
    const order: string[] = [];
    const taken: Permit[] = [];
    for (const name of ["first", "second"])
      void ends[1].acquire(1000).then((permit) => {
        order.push(name);
        taken.push(permit);
      });
    await settle();
    assert.deepEqual(order, []);
    held[0]?.release();
    await until(() => order.length > 0);
    assert.deepEqual(order, ["first"]);
    held[1]?.release();
    await until(() => order.length > 1);
    assert.deepEqual(order, ["first", "second"]);
    assert.throws(() => held[1]?.release(), AssertionFailure);
    for (const permit of taken) permit.release();
    for (const permit of [await ends[0].acquire(1000), await ends[1].acquire(1000)]) permit.release();
  });

  test("acquire: a waiter is overloaded when its time is over, and leaves the queue of the process", async () => {
    const { clock, ends } = fixture(1, 2);
    const permit = await ends[0].acquire(1000);
    const late = assert.rejects(ends[1].acquire(1000), {
      ...overloaded,
      message: /within 1000 ms \(limit 1\)$/,
    });
    const patient = ends[0].acquire(5000);
    await assert.rejects(ends[1].acquire(1000), { ...overloaded, message: /the queue is full/ });
    await clock.advance(1000);
    await late;
    const next = ends[1].acquire(5000);
    permit.release();
    await Promise.all([patient, next].map(async (each) => (await each).release()));
    assert.equal(clock.pendingTimers, 0);
  });

  test("release: the permit is there for all threads, though the one that releases it has waiters", async () => {
    const { ends } = fixture(1);
    const permit = await ends[0].acquire(1000);
    const own = ends[0].acquire(1000);
    permit.release();
    const other = await ends[1].acquire(1000);
    let isServed = false;
    void own.then(() => {
      isServed = true;
    });
    await settle();
    assert.equal(isServed, false);
    other.release();
    (await own).release();
  });

  test("acquire: the permits of one limit are not those of another", async () => {
    const { clock, limits, ends } = fixture(1);
    await ends[0].acquire(1000);
    const others = limits.semaphore("subResources", "another test", 1, clock, 10);
    (await others.acquire(1000)).release();
  });

  test("acquire: a release in another thread serves a waiter of this one", async (context) => {
    const { limits, ends } = fixture(1);
    const holder = new Worker(new URL("./permit-holder.ts", import.meta.url), { workerData: limits.words });
    context.after(() => holder.terminate());
    await once(holder, "message");
    let isServed = false;
    const waiting = ends[0].acquire(1000).then((permit) => {
      isServed = true;
      return permit;
    });
    await settle();
    assert.equal(isServed, false);
    holder.postMessage("release");
    (await waiting).release();
  });
});
