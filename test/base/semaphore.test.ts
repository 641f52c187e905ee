import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { AssertionFailure } from "../../src/base/assert.ts";
import { OrcaError } from "../../src/base/orca-error.ts";
import { type Permit, Semaphore } from "../../src/base/semaphore.ts";
import { FakeClock, settle } from "../support/fake-clock.ts";

const isOverloaded = (error: unknown): boolean => error instanceof OrcaError && error.code === "overloaded";

test("Semaphore: as many as there are permits run at once, the others in the order of arrival", async () => {
  const semaphore = new Semaphore("tests", 2, new FakeClock());
  const order: number[] = [];
  const permits: Permit[] = [];
  for (const number of [1, 2, 3, 4]) {
    void semaphore.acquire(1000).then((permit) => {
      order.push(number);
      permits.push(permit);
    });
  }
  await settle();
  assert.deepEqual(order, [1, 2]);
  assert.deepEqual([semaphore.inUse, semaphore.waiting], [2, 2]);
  permits[1]?.release();
  await settle();
  assert.deepEqual(order, [1, 2, 3]);
  permits[0]?.release();
  await settle();
  assert.deepEqual(order, [1, 2, 3, 4]);
  assert.deepEqual([semaphore.inUse, semaphore.waiting], [2, 0]);
});

test("Semaphore: who waits too long is overloaded and leaves the queue", async () => {
  const clock = new FakeClock();
  const semaphore = new Semaphore("tests", 1, clock);
  const permit = await semaphore.acquire(1000);
  const rejected = assert.rejects(semaphore.acquire(1000), isOverloaded);
  const patient = semaphore.acquire(5000);
  await clock.advance(1000);
  await rejected;
  assert.equal(semaphore.waiting, 1);
  permit.release();
  (await patient).release();
  assert.deepEqual([semaphore.inUse, semaphore.waiting, clock.pendingTimers], [0, 0, 0]);
});

test("Semaphore: a full queue refuses at once", async () => {
  const semaphore = new Semaphore("tests", 1, new FakeClock(), 1);
  const permit = await semaphore.acquire(1000);
  const waiting = semaphore.acquire(1000);
  await assert.rejects(semaphore.acquire(1000), isOverloaded);
  permit.release();
  (await waiting).release();
});

test("Semaphore: a permit given back twice is a bug", async () => {
  const permit = await new Semaphore("tests", 1, new FakeClock()).acquire(1000);
  permit.release();
  assert.throws(() => permit.release(), AssertionFailure);
});

test("Semaphore.resize: more permits serve those who wait, fewer take effect as permits come back", async () => {
  const semaphore = new Semaphore("tests", 1, new FakeClock());
  const first = await semaphore.acquire(1000);
  const waiting = [semaphore.acquire(1000), semaphore.acquire(1000)];
  semaphore.resize(3);
  const [second, third] = await Promise.all(waiting);
  assert.equal(semaphore.inUse, 3);
  semaphore.resize(1);
  const last = semaphore.acquire(1000);
  first.release();
  second?.release();
  await settle();
  assert.deepEqual([semaphore.inUse, semaphore.waiting], [1, 1]);
  third?.release();
  (await last).release();
  assert.equal(semaphore.inUse, 0);
});

test("Semaphore: never more than its permits in use, and all come back, whatever the order", async () => {
  const step = fc.record({ kind: fc.constantFrom("acquire", "release", "wait"), number: fc.nat(100) });
  await fc.assert(
    fc.asyncProperty(
      fc.integer({ min: 1, max: 4 }),
      fc.array(step, { maxLength: 60 }),
      async (max, steps) => {
        const clock = new FakeClock();
        const semaphore = new Semaphore("tests", max, clock);
        const held: Permit[] = [];
        let arrived = 0;
        const order: number[] = [];
        for (const { kind, number } of steps) {
          if (kind === "acquire") {
            const mine = arrived;
            arrived += 1;
            const keep = (permit: Permit): void => {
              order.push(mine);
              held.push(permit);
            };
            semaphore.acquire(number).then(keep, () => {});
          }
          if (kind === "release") held.shift()?.release();
          if (kind === "wait") await clock.advance(number);
          assert.ok(semaphore.inUse <= max);
        }
        await clock.advance(101);
        while (held.length > 0) held.pop()?.release();
        assert.deepEqual([semaphore.inUse, semaphore.waiting, clock.pendingTimers], [0, 0, 0]);
        assert.deepEqual(
          order,
          order.toSorted((left, right) => left - right),
        );
      },
    ),
    { numRuns: 60 },
  );
});

test("Semaphore.overdraw: takes a permit that is not there, and the others wait until it is made up for", async () => {
  const semaphore = new Semaphore("test", 1, new FakeClock());
  const first = await semaphore.acquire(1000);
  const second = semaphore.overdraw();
  const waiting = semaphore.acquire(1000);
  assert.deepEqual([semaphore.inUse, semaphore.waiting], [2, 1]);
  first.release();
  assert.deepEqual([semaphore.inUse, semaphore.waiting], [1, 1]);
  second.release();
  (await waiting).release();
  assert.equal(semaphore.inUse, 0);
});
