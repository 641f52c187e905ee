import assert from "node:assert/strict";
import { test } from "node:test";
import { MemoryBudget } from "../../src/base/memory-budget.ts";
import { MiB } from "../../src/base/units.ts";
import { ObjectVersion } from "../../src/chunk/object-version.ts";
import { Flight } from "../../src/fill/flight.ts";
import { FakeClock } from "../support/fake-clock.ts";

test("Flight.sink: the space ahead is the space that comes later, in the memory that the flight reserved", () => {
  const sizeBytes = 3 * MiB + 100;
  const version = new ObjectVersion({
    originId: "o",
    bucket: "b",
    objectKey: "k",
    etag: "e",
    sizeBytes,
    chunkSizeBytes: 8 * MiB,
  });
  const budget = new MemoryBudget({ maxBytes: 16 * MiB, clock: new FakeClock() });
  const flight = new Flight({ version, index: 0 }, "peer", { from: MiB, to: sizeBytes });
  const reservation = budget.tryReserve(flight.reserveBytes);
  assert.ok(reservation);
  flight.useMemory(reservation);
  const { sink } = flight;
  sink.space();
  sink.advance(10);
  const used = budget.usedBytes;
  const ahead: Buffer[] = [];
  for (let at = 0; at < sizeBytes - MiB - 10; at += (ahead.at(-1) as Buffer).length)
    ahead.push(sink.spaceAhead(at));
  assert.deepEqual(
    ahead.map(({ length }) => length),
    [MiB - 10, MiB, 100],
  );
  assert.equal(budget.usedBytes, used);
  for (const expected of ahead) {
    const space = sink.space();
    assert.equal(space.buffer, expected.buffer);
    assert.equal(space.byteOffset, expected.byteOffset);
    assert.equal(space.length, expected.length);
    sink.advance(space.length);
  }
  flight.complete();
  flight.close();
  assert.equal(budget.usedBytes, 0);
});
