import assert from "node:assert/strict";
import { test } from "node:test";
import { setImmediate as nextTurn } from "node:timers/promises";
import { MiB } from "../../src/base/units.ts";
import { ReadTurns, type TurnReader, turnBytesMax } from "../../src/http-client/read-turns.ts";

/** Reads a MiB whenever it may, as the kernel has more. */
class Eager implements TurnReader {
  readMiB = 0;
  readonly #turns: ReadTurns;

  constructor(turns: ReadTurns) {
    this.#turns = turns;
  }

  resume(): void {
    do this.readMiB += 1;
    while (this.#turns.read(this, MiB));
  }
}

test("ReadTurns: few megabytes are read in a turn, and all readers get as many", async () => {
  const turns = new ReadTurns();
  const readers = Array.from({ length: 20 }, () => new Eager(turns));
  for (const reader of readers) reader.resume();
  const total = (): number => readers.reduce((sum, { readMiB }) => sum + readMiB, 0);
  // The first of them had the turn to itself for a moment.
  assert.equal(total(), 21);
  for (let turn = 0; turn < 100; turn += 1) {
    const before = total();
    await nextTurn();
    assert.ok(total() - before <= 3, `${total() - before} MiB in turn ${turn}`);
  }
  const read = readers.map(({ readMiB }) => readMiB);
  for (const reader of readers) turns.leave(reader);
  assert.ok(Math.min(...read) >= 10, read.join(" "));
});

test("ReadTurns: a reader that has ended is not resumed", async () => {
  const turns = new ReadTurns();
  const reader = new Eager(turns);
  reader.resume();
  turns.leave(reader);
  await nextTurn();
  await nextTurn();
  assert.equal(reader.readMiB, 2);
});

test("ReadTurns: a reader that reads less than a turn's bytes never waits", async () => {
  const turns = new ReadTurns();
  const reader = { resume: () => assert.fail("it does not wait") };
  for (let turn = 0; turn < 5; turn += 1) {
    assert.equal(turns.read(reader, turnBytesMax - 1), true);
    await nextTurn();
    await nextTurn();
  }
});
