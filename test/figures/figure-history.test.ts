import assert from "node:assert/strict";
import { test } from "node:test";
import { FigureHistory, slotMs, slotsMax, sumOfSeries } from "../../src/figures/figure-history.ts";

const start = 1000 * slotMs + 1200;

function totals(count: number) {
  return { servedBytes: 10 * count, originBytes: count, requests: 2 * count };
}

test("FigureHistory: holds an hour of differences, the oldest slot first, and no more after two", () => {
  const history = new FigureHistory(start, totals(0));
  assert.deepEqual(history.series().served_bytes, []);
  for (let slot = 1; slot <= 2 * slotsMax; slot += 1) {
    history.sample((1000 + slot) * slotMs, totals((slot * (slot + 1)) / 2));
  }
  const series = history.series();
  assert.equal(series.start_ms, (1000 + slotsMax) * slotMs);
  assert.equal(series.served_bytes.length, slotsMax);
  assert.deepEqual(
    [series.served_bytes[0], series.served_bytes.at(-1)],
    [10 * (slotsMax + 1), 20 * slotsMax],
  );
  assert.deepEqual([series.origin_bytes.at(-1), series.requests.at(-1)], [2 * slotsMax, 4 * slotsMax]);
  assert.deepEqual(history.series(2).requests, [4 * slotsMax - 2, 4 * slotsMax]);
});

test("FigureHistory: a slot that was not sampled is empty, and a timer may come early or twice", () => {
  const history = new FigureHistory(start, totals(0));
  history.sample(1001 * slotMs - 3, totals(1));
  history.sample(1001 * slotMs + 3, totals(2));
  history.sample(1004 * slotMs, totals(5));
  assert.deepEqual(history.series().origin_bytes, [2, 0, 0, 3]);
  assert.equal(history.series().start_ms, 1000 * slotMs);
});

test("FigureHistory: a clock that is set back begins a new history, and one that jumps ahead forgets the old", () => {
  const history = new FigureHistory(start, totals(0));
  history.sample(1001 * slotMs, totals(1));
  history.sample(501 * slotMs, totals(4));
  assert.deepEqual(history.series().origin_bytes, [3]);
  assert.equal(history.series().start_ms, 500 * slotMs);
  history.sample(50_001 * slotMs, totals(5));
  assert.deepEqual(
    history.series().origin_bytes.filter((bytes) => bytes > 0),
    [1],
  );
  assert.equal(history.series().origin_bytes.length, slotsMax);
});

function seriesFrom(first: number, values: readonly number[]) {
  const start_ms = first * slotMs;
  return { start_ms, slot_ms: slotMs, served_bytes: values, origin_bytes: values, requests: values };
}

test("sumOfSeries: adds slots of the same time, and leaves out what is not of the last hour", () => {
  const now = 2000 * slotMs;
  const sum = sumOfSeries(
    [
      seriesFrom(1997, [1, 2, 3]),
      seriesFrom(1998, [10, 20, 30]),
      seriesFrom(5, [7]),
      { ...seriesFrom(1999, [100]), slot_ms: 1 },
    ],
    now,
  );
  assert.deepEqual([sum.start_ms, sum.served_bytes.length], [1280 * slotMs, slotsMax]);
  assert.deepEqual(sum.served_bytes.slice(-3), [1, 12, 23]);
  assert.equal(
    sum.requests.reduce((total, each) => total + each, 0),
    36,
  );
  assert.deepEqual(
    sumOfSeries([seriesFrom(1997, [1, 2, 3]), seriesFrom(1997, [1, 2])], now).requests,
    [2, 4],
  );
  assert.deepEqual(sumOfSeries([], now).served_bytes, []);
  assert.deepEqual(sumOfSeries([seriesFrom(1998, [4, 5])], now).origin_bytes, [4, 5]);
});
