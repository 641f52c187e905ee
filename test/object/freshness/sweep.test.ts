import assert from "node:assert/strict";
import { test } from "node:test";
import { Sweep, sweepSliceMax } from "../../../src/object/freshness/sweep.ts";
import { FakeClock } from "../../support/fake-clock.ts";

/** A cache whose every entry is stale, except `kept`. */
class StaleCache {
  readonly names = new Set<string>();
  looks = 0;

  get size(): number {
    return this.names.size;
  }

  sweptNames(): IterableIterator<string> {
    return this.names.keys();
  }

  dropIfStale(name: string): void {
    this.looks += 1;
    if (name !== "kept") this.names.delete(name);
  }
}

function fixture(entries: number) {
  const clock = new FakeClock();
  const cache = new StaleCache();
  for (let index = 0; index < entries; index += 1) cache.names.add(`k${index}`);
  return { clock, cache, sweep: new Sweep(clock, 5000, [cache]) };
}

test("Sweep: looks at one slice in each turn", () => {
  const { clock, cache } = fixture(2 * sweepSliceMax + 1);
  const turns: number[] = [];
  const timer = clock.timer.bind(clock);
  const callbacks: (() => void)[] = [];
  clock.timer = (delayMs, callback) => {
    callbacks.push(callback);
    return timer(delayMs, callback);
  };
  new Sweep(clock, 5000, [cache]).later();
  for (let callback = callbacks.shift(); callback; callback = callbacks.shift()) {
    callback();
    turns.push(cache.looks);
  }
  assert.deepEqual(turns, [sweepSliceMax, 2 * sweepSliceMax, 2 * sweepSliceMax + 1]);
});

test("Sweep: goes on once in a TTL while an entry is left, and ends with the last one", async () => {
  const { clock, cache, sweep } = fixture(3);
  cache.names.add("kept");
  sweep.later();
  sweep.later();
  await clock.advance(4999);
  assert.equal(cache.looks, 0);
  await clock.advance(1);
  assert.deepEqual([cache.looks, cache.size, clock.pendingTimers], [4, 1, 1]);
  await clock.advance(5000);
  assert.equal(cache.looks, 5);
  cache.names.clear();
  await clock.advance(5000);
  assert.equal(clock.pendingTimers, 0);
});

test("Sweep.close: no sweep begins or continues after it", async () => {
  const { clock, cache, sweep } = fixture(3);
  sweep.later();
  sweep.close();
  sweep.later();
  await clock.advance(60_000);
  assert.deepEqual([cache.looks, clock.pendingTimers], [0, 0]);
});
