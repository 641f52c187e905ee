import assert from "node:assert/strict";
import { test } from "node:test";
import { SystemClock } from "../../src/base/clock.ts";
import { MemoryBudget } from "../../src/base/memory-budget.ts";
import { Semaphore } from "../../src/base/semaphore.ts";
import { MiB } from "../../src/base/units.ts";

const [few, many] = [2000, 64_000];
/** A linear law makes it 32. Short measurements vary, so this is far from 1, too. */
const growthMax = 8;

/** A clock whose timers cost nothing. */
class TimelessClock extends SystemClock {
  override timer(): { refresh(): void; cancel(): void } {
    return { refresh: () => {}, cancel: () => {} };
  }
}

/**
 * Microseconds of CPU time for each of `count` steps that `run` makes; the best of some rounds. A round has as many steps for
 * any count, because the kernel counts the time of a thread in ticks of some milliseconds.
 */
async function costOf(count: number, run: (count: number) => Promise<() => Promise<void>>): Promise<number> {
  let best = Number.POSITIVE_INFINITY;
  for (let round = 0; round < 3; round += 1) {
    let spentUs = 0;
    for (let steps = 0; steps < many; steps += count) {
      const take = await run(count);
      const before = process.threadCpuUsage();
      await take();
      // What this thread took of the CPU, whatever else the machine does meanwhile.
      const { user, system } = process.threadCpuUsage(before);
      spentUs += user + system;
    }
    best = Math.min(best, spentUs);
  }
  return best / many;
}

async function assertConstant(run: (count: number) => Promise<() => Promise<void>>): Promise<void> {
  await costOf(few, run);
  const [withFew, withMany] = [await costOf(few, run), await costOf(many, run)];
  assert.ok(
    withMany < withFew * growthMax,
    `${withFew.toFixed(2)} us each with ${few}, ${withMany.toFixed(2)} us each with ${many}`,
  );
}

test("Semaphore: to serve a waiter takes as long with many waiters as with few", () =>
  assertConstant(async (count) => {
    const permits = new Semaphore("tests", 1, new TimelessClock(), many);
    const first = await permits.acquire(1000);
    const served = Array.from({ length: count }, () =>
      permits.acquire(1000).then((permit) => permit.release()),
    );
    return async () => {
      first.release();
      await Promise.all(served);
    };
  }));

test("MemoryBudget: to serve a waiter takes as long with many waiters as with few", () =>
  assertConstant(async (count) => {
    const budget = new MemoryBudget({ maxBytes: MiB, clock: new TimelessClock(), waitersMax: many });
    const first = await budget.reserve(MiB, 1000);
    const served = Array.from({ length: count }, () =>
      budget.reserve(MiB, 1000).then((reservation) => reservation.release()),
    );
    return async () => {
      first.release();
      await Promise.all(served);
    };
  }));
