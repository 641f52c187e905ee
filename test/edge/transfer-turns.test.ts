import assert from "node:assert/strict";
import { test } from "node:test";
import { nextTurn } from "../../src/base/clock.ts";
import { KiB, MiB } from "../../src/base/units.ts";
import { TransferTurns, TurnTaker } from "../../src/edge/transfer-turns.ts";

class Taker extends TurnTaker {
  readonly #turns: TransferTurns;
  readonly #name: string;
  readonly #sliceBytes: number;
  readonly #sent: string[];
  #slices: number;

  constructor(turns: TransferTurns, sent: string[], name: string, slices: number, sliceBytes: number) {
    super();
    this.#turns = turns;
    this.#sent = sent;
    this.#name = name;
    this.#slices = slices;
    this.#sliceBytes = sliceBytes;
  }

  takeTurn(): number {
    this.#sent.push(this.#name);
    this.#slices -= 1;
    // As the callback of a write that the kernel took at once.
    if (this.#slices > 0) process.nextTick(() => this.#turns.wait(this));
    return this.#sliceBytes;
  }
}

const all = Number.POSITIVE_INFINITY;

function waitIn(turns: TransferTurns, sent: string[], name: string, slices: number, sliceBytes = MiB): void {
  turns.wait(new Taker(turns, sent, name, slices, sliceBytes));
}

test("TransferTurns: a turn of the event loop sends 4 MiB for all, first come, first served", async () => {
  const turns = new TransferTurns();
  const sent: string[] = [];
  for (const name of "abcdefghij") waitIn(turns, sent, name, 1);
  assert.equal(sent.length, 0);
  const perTurn: string[] = [];
  for (let turn = 0; turn < 4; turn += 1) {
    await nextTurn();
    perTurn.push(sent.splice(0).join(""));
  }
  assert.deepEqual(perTurn, ["abcd", "efgh", "ij", ""]);
});

test("TransferTurns: a transfer that waits again comes after all that wait", async () => {
  const turns = new TransferTurns();
  const sent: string[] = [];
  for (const name of "abc") waitIn(turns, sent, name, 3);
  for (let turn = 0; turn < 5; turn += 1) await nextTurn();
  assert.equal(sent.join(""), "abcabcabc");
});

test("TransferTurns: a slice larger than a turn is sent, and a transfer without bytes costs nothing", async () => {
  const turns = new TransferTurns();
  const sent: string[] = [];
  for (const name of "abc") waitIn(turns, sent, name, 1, 0);
  waitIn(turns, sent, "d", 1, 64 * MiB);
  waitIn(turns, sent, "e", 1, 64 * MiB);
  await nextTurn();
  assert.equal(sent.join(""), "abcd");
  await nextTurn();
  assert.equal(sent.join(""), "abcde");
});

test("TransferTurns: waits again after the queue was empty", async () => {
  const turns = new TransferTurns();
  const sent: string[] = [];
  waitIn(turns, sent, "a", 1);
  await nextTurn();
  waitIn(turns, sent, "b", 2);
  await nextTurn();
  await nextTurn();
  assert.equal(sent.join(""), "abb");
});

test("TransferTurns: a transfer that waits again while it takes its turn has another one, in a later turn", async () => {
  const turns = new TransferTurns();
  let taken = 0;
  const taker = new (class extends TurnTaker {
    takeTurn(): number {
      taken += 1;
      if (taken < 3) turns.wait(this);
      return 0;
    }
  })();
  turns.wait(taker);
  const perTurn: number[] = [];
  for (let turn = 0; turn < 4; turn += 1) {
    await nextTurn();
    perTurn.push(taken);
  }
  assert.deepEqual(perTurn, [1, 2, 3, 3]);
});

test("TransferTurns: a turn with a new response sends as always while few wait", async () => {
  const turns = new TransferTurns();
  const sent: string[] = [];
  for (let count = 0; count < 63; count += 1) waitIn(turns, sent, "a", 1);
  assert.equal(turns.begin(), Number.POSITIVE_INFINITY);
  await nextTurn();
  assert.equal(sent.length, 4);
});

test("TransferTurns: a crowd leaves turns to new responses, sixteen in a row at most", async () => {
  const turns = new TransferTurns();
  const sent: string[] = [];
  for (let count = 0; count < 80; count += 1) waitIn(turns, sent, "a", 1);
  const perTurn: number[] = [];
  for (let turn = 0; turn < 35; turn += 1) {
    assert.equal(turns.begin(), 64 * KiB);
    await nextTurn();
    perTurn.push(sent.splice(0).length);
  }
  const left = Array.from({ length: 16 }, () => 0);
  assert.deepEqual(perTurn, [...left, 4, ...left, 4, 0]);
  await nextTurn();
  assert.equal(sent.length, 4);
});

test("TransferTurns: those that begin together are a crowd, before any of them waits", async () => {
  const turns = new TransferTurns();
  const bytes = Array.from({ length: 66 }, () => turns.begin());
  assert.deepEqual(bytes.slice(62), [all, all, 64 * KiB, 64 * KiB]);
});

test("TransferTurns: of those whose first slices came together, four send a MiB, until the next turn", async () => {
  const turns = new TransferTurns();
  const begin = () => Array.from({ length: 6 }, () => turns.begin(MiB));
  assert.deepEqual(begin(), [all, all, all, all, 64 * KiB, 64 * KiB]);
  waitIn(turns, [], "a", 1);
  await nextTurn();
  assert.deepEqual(begin(), [all, all, all, all, 64 * KiB, 64 * KiB]);
});
