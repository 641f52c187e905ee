/** The protocol in all interleavings of small cases, as it is and with each of its steps broken. */
import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { noRow, placeAt, rowWords, stateAt } from "../../../src/store/shared-index/pin-protocol.ts";
import {
  explore,
  type Fault,
  type Protocol,
  protocolWith,
  type Step,
  step,
  type Thread,
  type World,
} from "./interleavings.ts";

type Key = readonly [number, number];
type Task = Generator<Step, void, number>;

const live = 1 << 30;
const poison = -1;

/** The search for each begins at one place. A half of A and a half of B is the third. */
const keyA: Key = [1, 1];
const keyB: Key = [5, 5];
const keyMixed: Key = [5, 1];

function contentOf([first, second]: Key): number {
  return 100 * first + second;
}

/** The memory of a world, and what its threads do. */
class Cell {
  readonly protocol: Protocol;
  readonly memory = {
    table: new Int32Array(4),
    rows: new Int32Array(3 * rowWords),
    signal: new Int32Array(1),
  };
  /** The bytes of blocks: a word each. */
  readonly bytes = new Int32Array(2);

  constructor(protocol: Protocol) {
    this.protocol = protocol;
  }

  /** Runs a thread alone to its end. */
  alone(thread: Thread): unknown {
    let next = thread.next(0);
    while (!next.done) {
      const { op, words, index, value } = next.value;
      assert(op !== "wait", "a thread alone waits for nobody");
      const read =
        op === "load" || op === "notify" ? Atomics.load(words, index) : Atomics[op](words, index, value);
      next = thread.next(read);
    }
    return next.value;
  }

  hold(row: number, key: Key): void {
    this.bytes[row - 1] = contentOf(key);
    this.alone(this.protocol.publish(this.memory, row, Int32Array.from(key), Int32Array.of(row - 1)));
  }

  *reader(key: Key): Task {
    const { protocol, memory, bytes } = this;
    const row = (yield* protocol.pin(memory, Int32Array.from(key))) as number;
    if (row === noRow) return;
    const at = yield step("load", memory.rows, row * rowWords + placeAt);
    // The kernel may read the bytes at any time until they are unpinned.
    for (let reads = 0; reads < 2; reads += 1) {
      assert.equal(
        yield step("load", bytes, at),
        contentOf(key),
        "a reader reads the bytes that it asked for",
      );
    }
    yield* protocol.unpin(memory, row);
  }

  /** As {@link SharedIndex} does it: evicts a block, waits until nobody has it pinned, and frees its bytes. */
  *evict(row: number): Task {
    const { protocol, memory, bytes } = this;
    const isFree = (yield* protocol.condemn(memory, row)) as boolean;
    for (let isUnpinned = isFree; !isUnpinned; ) {
      const seen = yield step("load", memory.signal, 0);
      isUnpinned = (yield* protocol.isUnpinned(memory, row)) as boolean;
      if (!isUnpinned) yield step("wait", memory.signal, 0, seen);
    }
    yield step("store", bytes, row - 1, poison);
  }

  *insert(row: number, key: Key): Task {
    yield step("store", this.bytes, row - 1, contentOf(key));
    yield* this.protocol.publish(this.memory, row, Int32Array.from(key), Int32Array.of(row - 1));
  }

  *replace(row: number, ...keys: readonly Key[]): Task {
    for (const key of keys) {
      yield* this.evict(row);
      yield* this.insert(row, key);
    }
  }

  /** At rest, each of `keys` is found in its row, each row is in the table once, and nobody has a pin. */
  checkAtRest(keys: ReadonlyMap<number, Key>): void {
    const { table, rows } = this.memory;
    const inTable = [...table].filter((row) => row !== noRow);
    assert.equal(inTable.length, keys.size);
    assert.deepEqual(new Set(inTable), new Set(keys.keys()));
    for (const row of [1, 2]) assert.equal(rows[row * rowWords + stateAt], keys.has(row) ? live : 0);
    for (const [row, key] of keys) {
      assert.equal(this.alone(this.protocol.pin(this.memory, Int32Array.from(key))), row);
      this.alone(this.protocol.unpin(this.memory, row));
    }
  }

  world(threads: readonly Thread[], keys: ReadonlyMap<number, Key>): World {
    const { table, rows, signal } = this.memory;
    return {
      threads,
      words: [table, rows.subarray(rowWords), signal, this.bytes],
      ownWords: { words: table, thread: 0 },
      atEnd: () => this.checkAtRest(keys),
    };
  }
}

type Scenario = (protocol: Protocol) => World;

const scenarios: Readonly<Record<string, Scenario>> = {
  "one block replaces another in its row and its bytes, with a reader of each"(protocol) {
    const cell = new Cell(protocol);
    cell.hold(1, keyA);
    const threads = [cell.replace(1, keyB), cell.reader(keyA), cell.reader(keyB)];
    return cell.world(threads, new Map([[1, keyB]]));
  },
  "two readers of a block that is evicted"(protocol) {
    const cell = new Cell(protocol);
    cell.hold(1, keyA);
    return cell.world([cell.evict(1), cell.reader(keyA), cell.reader(keyA)], new Map());
  },
  "a reader of a key that exists only half-way through a change"(protocol) {
    const cell = new Cell(protocol);
    cell.hold(1, keyA);
    return cell.world([cell.replace(1, keyB), cell.reader(keyMixed)], new Map([[1, keyB]]));
  },
  "a block comes back to its row after another was there"(protocol) {
    const cell = new Cell(protocol);
    cell.hold(1, keyA);
    return cell.world([cell.replace(1, keyB, keyA), cell.reader(keyA)], new Map([[1, keyA]]));
  },
  "a block goes from one row to another while two readers look for it"(protocol) {
    const cell = new Cell(protocol);
    cell.hold(1, keyA);
    function* move(): Task {
      yield* cell.evict(1);
      yield* cell.insert(2, keyA);
      yield* cell.insert(1, keyB);
    }
    const threads = [move(), cell.reader(keyA), cell.reader(keyA)];
    return cell.world(
      threads,
      new Map([
        [1, keyB],
        [2, keyA],
      ]),
    );
  },
  "a removal moves another row to where the removed one was"(protocol) {
    const cell = new Cell(protocol);
    // The words of these two lead to one home.
    cell.hold(1, [1, 0]);
    cell.hold(2, [5, 0]);
    return cell.world([cell.evict(1), cell.reader([5, 0]), cell.reader([1, 0])], new Map([[2, [5, 0]]]));
  },
  "a removal leaves a row where it is that is at home"(protocol) {
    const cell = new Cell(protocol);
    cell.hold(1, [1, 0]);
    cell.hold(2, [2, 0]);
    return cell.world([cell.evict(1), cell.reader([2, 0])], new Map([[2, [2, 0]]]));
  },
};

async function exploreAll(faults: readonly Fault[]): Promise<number> {
  const protocol = await protocolWith(faults, 2);
  let states = 0;
  for (const scenario of Object.values(scenarios)) states += explore(() => scenario(protocol));
  return states;
}

const generationLoad = "const generation = Atomics.load(rows, start + generationAt);";
const generationBump = "  Atomics.add(rows, start + generationAt, 1);\n";
const setLive = "Atomics.or(rows, start + stateAt, live);";
const clearLive = "const before = Atomics.and(memory.rows, row * rowWords + stateAt, ~live);";
const removePin = "const before = Atomics.sub(memory.rows, row * rowWords + stateAt, 1);";
const addPin = "const before = Atomics.add(rows, start + stateAt, 1);";
const firstStore = "  for (let word = 0; word < keyWords; word += 1) {\n    Atomics.store";

const faults: Readonly<Record<string, readonly Fault[]>> = {
  "R2 after R3": [
    [generationLoad, ""],
    [addPin, `${generationLoad} ${addPin}`],
  ],
  "R3 left out": [["if (hasKey(rows, start + keyAt, key)) {", "{"]],
  "R4 in two steps": [
    [
      addPin,
      "const before = Atomics.load(rows, start + stateAt); Atomics.store(rows, start + stateAt, before + 1);",
    ],
  ],
  "R4 without a look at the live bit": [["if (isLive && ", "if ("]],
  "R5 left out": [["if (isLive && Atomics.load(rows, start + generationAt) === generation)", "if (isLive)"]],
  "R7 left out after a miss": [["      unpin(memory, row);\n      return noRow;", "      return noRow;"]],
  "R7 in two steps": [
    [
      removePin,
      "const before = Atomics.load(memory.rows, row * rowWords + stateAt); Atomics.store(memory.rows, row * rowWords + stateAt, before - 1);",
    ],
  ],
  "R7 without a signal": [["Atomics.add(memory.signal, 0, 1);", ""]],
  "R7 that signals only for a live row": [["if (before !== 1) return;", "if (before !== live + 1) return;"]],
  "E1 left out": [["  takeOut(memory, row);\n", ""]],
  "E1 that leaves a gap": [["if (moved === noRow) break;", "break;"]],
  "E1 that moves every row after it": [["if (((at - home) & mask) < ((at - gap) & mask)) continue;", ""]],
  "E2 left out": [[clearLive, "const before = Atomics.load(memory.rows, row * rowWords + stateAt);"]],
  "E2 in two steps": [
    [
      clearLive,
      "const before = Atomics.load(memory.rows, row * rowWords + stateAt); Atomics.store(memory.rows, row * rowWords + stateAt, before & ~live);",
    ],
  ],
  "E2 after a look at the pins": [
    [
      clearLive,
      "const before = Atomics.load(memory.rows, row * rowWords + stateAt); Atomics.and(memory.rows, row * rowWords + stateAt, ~live);",
    ],
  ],
  "E3 without a look at the pins": [["return before === live;", "return true;"]],
  "I1 without the place": [
    ["for (let word = 0; word < placeWords; word += 1)", "for (let word = 0; word < 0; word += 1)"],
  ],
  "I2 left out": [[generationBump, ""]],
  "I2 before I1": [
    [generationBump, ""],
    [firstStore, `${generationBump}${firstStore}`],
  ],
  "I3 before I1": [
    [setLive, ""],
    [firstStore, `${setLive}${firstStore}`],
  ],
  "I3 that overwrites the pins": [[setLive, "Atomics.store(rows, start + stateAt, live);"]],
  "I3 left out": [[setLive, ""]],
  "I4 left out": [["Atomics.store(table, at, row);", ""]],
  "I4 at an occupied place": [["while (Atomics.load(table, at) !== noRow) at = (at + 1) & mask;", ""]],
};

suite("pin protocol", () => {
  for (const [name, scenario] of Object.entries(scenarios)) {
    test(`pin: ${name}: in all interleavings each reader gets its bytes or a miss`, async (context) => {
      const protocol = await protocolWith([], 2);
      const states = explore(() => scenario(protocol));
      context.diagnostic(`${states} states`);
      assert(states > 20, `only ${states} states`);
    });
  }

  for (const [name, fault] of Object.entries(faults)) {
    test(`explore: finds the fault "${name}"`, () => {
      return assert.rejects(exploreAll(fault), /found by schedule/);
    });
  }
});
