import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { AssertionFailure } from "../../src/base/assert.ts";
import {
  MemoryBudget,
  type Reservation,
  type Segment,
  segmentSizeBytes,
} from "../../src/base/memory-budget.ts";
import { OrcaError } from "../../src/base/orca-error.ts";
import { KiB, MiB } from "../../src/base/units.ts";
import { FakeClock, settle } from "../support/fake-clock.ts";

function budgetOf(maxBytes: number, waitersMax?: number) {
  const clock = new FakeClock();
  const options = { maxBytes, clock, poison: true };
  return { clock, budget: new MemoryBudget(waitersMax === undefined ? options : { ...options, waitersMax }) };
}

/** Reserves `bytes` at once and takes all their segments. */
function segmentsOf(budget: MemoryBudget, bytes: number): Segment[] {
  const reservation = budget.tryReserve(bytes);
  assert.ok(reservation, "there is room");
  return takeAll(reservation);
}

function takeAll(reservation: Reservation): Segment[] {
  const segments: Segment[] = [];
  while (reservation.bytes > 0) {
    segments.push(reservation.takeSegment(Math.min(segmentSizeBytes, reservation.bytes)));
  }
  return segments;
}

const isOverloaded = (error: unknown): boolean => error instanceof OrcaError && error.code === "overloaded";

/** A promise with its outcome in sight: "waiting", "granted" or the error's code. */
function watch(reserving: Promise<Reservation>): { outcome: string; reservation?: Reservation } {
  const watched: { outcome: string; reservation?: Reservation } = { outcome: "waiting" };
  reserving.then(
    (reservation) => Object.assign(watched, { outcome: "granted", reservation }),
    (error: unknown) =>
      Object.assign(watched, { outcome: error instanceof OrcaError ? error.code : "thrown" }),
  );
  return watched;
}

test("MemoryBudget: a reservation counts from the moment it is made, and until its segments are released", () => {
  const { budget } = budgetOf(8 * MiB);
  const reservation = budget.tryReserve(3 * MiB);
  assert.ok(reservation);
  assert.equal(budget.usedBytes, 3 * MiB);
  assert.equal(budget.reservedBytes, 3 * MiB);
  const segment = reservation.takeSegment(segmentSizeBytes);
  assert.equal(budget.usedBytes, 3 * MiB);
  assert.equal(reservation.bytes, 2 * MiB);
  reservation.release();
  reservation.release();
  assert.equal(budget.usedBytes, MiB);
  segment.release();
  assert.equal(budget.usedBytes, 0);
});

test("MemoryBudget: what fits to the byte is granted, one byte more is not", () => {
  const { budget } = budgetOf(4 * MiB);
  assert.equal(budget.tryReserve(4 * MiB + 1), undefined);
  assert.ok(budget.tryReserve(4 * MiB));
  assert.equal(budget.tryReserve(1), undefined);
});

test("MemoryBudget: a reservation of nothing costs nothing", () => {
  const { budget } = budgetOf(MiB);
  const reservation = budget.tryReserve(0);
  assert.equal(reservation?.bytes, 0);
  reservation?.release();
  assert.equal(budget.usedBytes, 0);
});

test("MemoryBudget: a segment is exactly as long as its bytes, in memory shared with other threads", () => {
  const { budget } = budgetOf(4 * MiB);
  const segments = segmentsOf(budget, 2 * MiB + 12_345);
  assert.deepEqual(
    segments.map((segment) => segment.bytes.length),
    [MiB, MiB, 12_345],
  );
  for (const segment of segments) assert.ok(segment.bytes.buffer instanceof SharedArrayBuffer);
});

test("MemoryBudget: small segments share a slab, which counts once while any of them is in use", () => {
  const { budget } = budgetOf(2 * MiB);
  const segments = Array.from({ length: 8 }, () => segmentsOf(budget, 128 * KiB)).flat();
  assert.equal(budget.usedBytes, MiB);
  const [ninth] = segmentsOf(budget, 128 * KiB);
  assert.equal(budget.usedBytes, 2 * MiB);
  assert.equal(budget.tryReserve(MiB), undefined);
  ninth?.release();
  for (const segment of segments.slice(1)) segment.release();
  assert.equal(budget.usedBytes, MiB);
  segments[0]?.release();
  assert.equal(budget.usedBytes, 0);
});

test("MemoryBudget: memory that comes back is used again and never grows past maxBytes", () => {
  const { budget } = budgetOf(4 * MiB);
  const memories = new Set<ArrayBufferLike>();
  for (let round = 0; round < 200; round += 1) {
    const segments = segmentsOf(budget, ((round * 777_777) % (3 * MiB)) + 1);
    for (const segment of segments) memories.add(segment.bytes.buffer);
    for (const segment of segments) segment.release();
  }
  assert.ok(memories.size <= 4, `${memories.size} slabs for a budget of 4`);
  assert.equal(budget.usedBytes, 0);
});

test("MemoryBudget: poison overwrites a segment that goes back, and no other piece of its slab", () => {
  const { budget } = budgetOf(MiB);
  const [first, second] = [...segmentsOf(budget, 1000), ...segmentsOf(budget, 1000)];
  assert.ok(first && second);
  const { bytes } = first;
  first.bytes.fill(1);
  second.bytes.fill(2);
  first.retain().release();
  assert.ok(bytes.every((byte) => byte === 1));
  first.release();
  assert.ok(bytes.every((byte) => byte === 0xdb));
  assert.ok(second.bytes.every((byte) => byte === 2));
});

test("Segment: a reference too many given back is a bug, and so is a retain after the last", () => {
  const { budget } = budgetOf(MiB);
  const [segment] = segmentsOf(budget, MiB);
  assert.equal(segment?.references, 1);
  segment?.release();
  assert.throws(() => segment?.release(), AssertionFailure);
  assert.throws(() => segment?.retain(), AssertionFailure);
});

test("Reservation: segments are full or the remainder; anything else is a bug", () => {
  const { budget } = budgetOf(4 * MiB);
  const reservation = budget.tryReserve(MiB + 1000);
  assert.throws(() => reservation?.takeSegment(999), AssertionFailure);
  reservation?.takeSegment(1000);
  assert.throws(() => reservation?.takeSegment(1000), AssertionFailure);
  reservation?.takeSegment(MiB);
  assert.throws(() => reservation?.takeSegment(MiB), AssertionFailure);
});

test("MemoryBudget.reserve: who waits is served in the order of arrival", async () => {
  const { budget } = budgetOf(3 * MiB);
  const segments = segmentsOf(budget, 3 * MiB);
  const waiters = [MiB, MiB, MiB].map((bytes) => watch(budget.reserve(bytes, 1000)));
  for (const count of [1, 2, 3]) {
    segments[count - 1]?.release();
    await settle();
    const granted = waiters.map(({ outcome }) => outcome === "granted");
    assert.deepEqual(
      granted,
      waiters.map((_, index) => index < count),
    );
  }
  assert.equal(budget.waiting, 0);
});

test("MemoryBudget.reserve: a large waiter is not starved by small ones behind it", async () => {
  const { budget } = budgetOf(4 * MiB);
  const segments = segmentsOf(budget, 4 * MiB);
  const large = watch(budget.reserve(3 * MiB, 1000));
  const small = watch(budget.reserve(MiB, 1000));
  segments[0]?.release();
  segments[1]?.release();
  await settle();
  assert.deepEqual([large.outcome, small.outcome], ["waiting", "waiting"]);
  assert.equal(budget.tryReserve(MiB), undefined, "nobody overtakes those who wait");
  segments[2]?.release();
  await settle();
  assert.deepEqual([large.outcome, small.outcome], ["granted", "waiting"]);
});

test("MemoryBudget.reserve: urgent waiters are served before others, in the order of arrival", async () => {
  const { budget } = budgetOf(2 * MiB);
  const segments = segmentsOf(budget, 2 * MiB);
  const order: string[] = [];
  for (const name of ["other", "urgent 1", "urgent 2"])
    void budget.reserve(MiB, 1000, name !== "other").then(() => order.push(name));
  assert.equal(budget.waiting, 3);
  assert.equal(budget.tryReserve(MiB, true), undefined, "nobody overtakes urgent ones");
  for (const segment of segments) segment.release();
  await settle();
  assert.deepEqual([order, budget.waiting], [["urgent 1", "urgent 2"], 1]);
});

test("MemoryBudget.reserve: 64 urgent reservations overtake one that waits, whether they waited or not", async () => {
  const { budget } = budgetOf(4 * MiB);
  const held = segmentsOf(budget, 3 * MiB);
  const large = watch(budget.reserve(4 * MiB, 1000));
  for (let count = 0; count < 63; count += 1) {
    const reservation = budget.tryReserve(MiB, true);
    assert.ok(reservation, `urgent reservation ${count}`);
    reservation.release();
  }
  const last = budget.tryReserve(MiB, true);
  const late = watch(budget.reserve(MiB, 1000, true));
  last?.release();
  assert.equal(budget.tryReserve(MiB, true), undefined);
  await settle();
  assert.deepEqual([large.outcome, late.outcome], ["waiting", "waiting"]);
  for (const segment of held) segment.release();
  await settle();
  assert.deepEqual([large.outcome, late.outcome], ["granted", "waiting"]);
  large.reservation?.release();
  await settle();
  assert.deepEqual([late.outcome, budget.waiting], ["granted", 0]);
});

test("MemoryBudget.reserve: an urgent waiter that waits too long is overloaded, and others are served", async () => {
  const { clock, budget } = budgetOf(4 * MiB);
  const segments = segmentsOf(budget, 4 * MiB);
  const urgent = watch(budget.reserve(3 * MiB, 1000, true));
  const other = watch(budget.reserve(MiB, 5000));
  segments[0]?.release();
  await settle();
  assert.deepEqual([urgent.outcome, other.outcome], ["waiting", "waiting"]);
  await clock.advance(1000);
  assert.deepEqual([urgent.outcome, other.outcome], ["overloaded", "granted"]);
});

test("MemoryBudget.reserve: who waits too long is overloaded, and those behind it are served", async () => {
  const { budget, clock } = budgetOf(4 * MiB);
  const segments = segmentsOf(budget, 4 * MiB);
  const large = watch(budget.reserve(4 * MiB, 1000));
  await clock.advance(500);
  const small = watch(budget.reserve(MiB, 1000));
  segments[0]?.release();
  await clock.advance(499);
  assert.deepEqual([large.outcome, small.outcome], ["waiting", "waiting"]);
  await clock.advance(1);
  assert.deepEqual([large.outcome, small.outcome], ["overloaded", "granted"]);
  assert.equal(clock.pendingTimers, 0);
  assert.equal(budget.usedBytes, 4 * MiB);
});

test("MemoryBudget.reserve: a grant cancels its timer", async () => {
  const { budget, clock } = budgetOf(MiB);
  const [segment] = segmentsOf(budget, MiB);
  const waiter = watch(budget.reserve(MiB, 1000));
  segment?.release();
  assert.equal(clock.pendingTimers, 0);
  await clock.advance(5000);
  assert.equal(waiter.outcome, "granted");
});

test("MemoryBudget.reserve: what can never fit and one waiter too many are refused at once", async () => {
  const { budget } = budgetOf(2 * MiB, 1);
  await assert.rejects(budget.reserve(2 * MiB + 1, 1000), isOverloaded);
  segmentsOf(budget, 2 * MiB);
  watch(budget.reserve(MiB, 1000));
  await assert.rejects(budget.reserve(MiB, 1000), isOverloaded);
  assert.equal(budget.waiting, 1);
});

test("MemoryBudget: reclaimers are asked in order, only while bytes are missing", () => {
  const { budget } = budgetOf(4 * MiB);
  const first = segmentsOf(budget, 2 * MiB);
  const second = segmentsOf(budget, 2 * MiB);
  const asked: string[] = [];
  const letGo = (name: string, segments: Segment[]) => (): boolean => {
    asked.push(name);
    const segment = segments.pop();
    segment?.release();
    return segment !== undefined;
  };
  budget.addReclaimer(letGo("first", first));
  budget.addReclaimer(letGo("second", second));
  assert.ok(budget.tryReserve(3 * MiB));
  assert.deepEqual(asked, ["first", "first", "first", "second"]);
  assert.equal(second.length, 1);
});

test("MemoryBudget: one small segment let go of makes room for one of its size", () => {
  const { budget } = budgetOf(MiB);
  const segments = Array.from({ length: 256 }, () => segmentsOf(budget, 4 * KiB)).flat();
  let asked = 0;
  budget.addReclaimer(() => {
    asked += 1;
    const segment = segments.pop();
    segment?.release();
    return segment !== undefined;
  });
  assert.ok(budget.tryReserve(4 * KiB));
  assert.equal(asked, 1);
});

test("MemoryBudget: releases from inside a reclaimer do not grant twice", async () => {
  const { budget } = budgetOf(4 * MiB);
  const cached = segmentsOf(budget, 3 * MiB);
  const [used] = segmentsOf(budget, MiB);
  let isCacheLocked = true;
  budget.addReclaimer(() => {
    const segment = isCacheLocked ? undefined : cached.pop();
    segment?.release();
    return segment !== undefined;
  });
  const waiters = [2 * MiB, MiB, MiB].map((bytes) => watch(budget.reserve(bytes, 1000)));
  isCacheLocked = false;
  used?.release();
  await settle();
  assert.deepEqual(
    waiters.map(({ outcome }) => outcome),
    ["granted", "granted", "granted"],
  );
  assert.equal(budget.usedBytes, 4 * MiB);
});

test("MemoryBudget: never over maxBytes, never a byte of another's segment, whatever comes in whatever order", async () => {
  const lengths = fc.oneof(fc.integer({ min: 1, max: 64 * KiB }), fc.integer({ min: 1, max: 3 * MiB }));
  const step = fc.oneof(
    fc.record({ kind: fc.constantFrom("reserve", "reserve urgently", "try", "cache"), bytes: lengths }),
    fc.record({ kind: fc.constantFrom("take", "release", "abandon", "wait"), bytes: fc.nat(2000) }),
  );
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 60 }), async (steps) => {
      const { budget, clock } = budgetOf(6 * MiB);
      const reservations: Reservation[] = [];
      const cached: Segment[] = [];
      const live = new Map<Segment, number>();
      let mark = 0;
      const own = (segment: Segment): Segment => {
        mark = (mark + 1) % 200;
        segment.bytes.fill(mark);
        live.set(segment, mark);
        return segment;
      };
      const free = (segment: Segment | undefined): boolean => {
        if (!segment) return false;
        assert.ok(segment.bytes[0] === live.get(segment) && segment.bytes.at(-1) === live.get(segment));
        live.delete(segment);
        segment.release();
        return true;
      };
      budget.addReclaimer(() => free(cached.shift()));
      for (const { kind, bytes } of steps) {
        if (kind.startsWith("reserve"))
          budget
            .reserve(bytes, 1000, kind === "reserve urgently")
            .then((granted) => reservations.push(granted))
            .catch(() => {});
        const granted = kind === "try" || kind === "cache" ? budget.tryReserve(bytes) : undefined;
        if (granted && kind === "try") reservations.push(granted);
        if (granted && kind === "cache") cached.push(...takeAll(granted).map(own));
        if (kind === "take" && reservations.length > 0)
          takeAll(reservations.shift() as Reservation).forEach(own);
        if (kind === "abandon") reservations.shift()?.release();
        if (kind === "release") free([...live.keys()].find((segment) => !cached.includes(segment)));
        if (kind === "wait") await clock.advance(bytes);
        assert.ok(budget.usedBytes <= budget.maxBytes);
      }
      await clock.advance(1000);
      for (const reservation of reservations) reservation.release();
      await clock.advance(1000);
      for (const reservation of reservations) reservation.release();
      for (const segment of live.keys()) free(segment);
      assert.deepEqual(
        [budget.usedBytes, budget.reservedBytes, budget.waiting, clock.pendingTimers],
        [0, 0, 0, 0],
      );
    }),
    { numRuns: 60 },
  );
});

test("MemoryBudget.addLastResort: is asked once a reservation has waited half of its time, for what it lacks", async () => {
  const clock = new FakeClock();
  const budget = new MemoryBudget({ maxBytes: 4 * MiB, clock });
  const asked: number[] = [];
  budget.addLastResort((missingBytes) => asked.push(missingBytes));
  const taken = budget.tryReserve(4 * MiB);
  const waiting = budget.reserve(2 * MiB, 1000);
  await clock.advance(499);
  assert.deepEqual(asked, []);
  await clock.advance(1);
  assert.deepEqual(asked, [2 * MiB]);
  taken?.release();
  (await waiting).release();
  assert.equal(clock.pendingTimers, 0);
});
