/**
 * Real threads that read blocks while their engine evicts and inserts as fast as it can, and overwrites what it frees.
 * More than bytes: how long a thread holds a pin differs from read to read, as sockets do.
 *
 *     npx node test/store/shared-index/index-readers.ts 10000000 4
 *
 * reads ten million blocks with four threads. The test reads fewer.
 */
import assert from "node:assert/strict";
import { once } from "node:events";
import { isMainThread, parentPort, Worker, workerData } from "node:worker_threads";
import { MemoryBudget, type Segment } from "../../../src/base/memory-budget.ts";
import { KiB, MiB } from "../../../src/base/units.ts";
import type { IndexMemory } from "../../../src/store/shared-index/pin-protocol.ts";
import { keyWords, noRow } from "../../../src/store/shared-index/pin-protocol.ts";
import { SharedBlocks } from "../../../src/store/shared-index/shared-blocks.ts";
import { SharedIndex } from "../../../src/store/shared-index/shared-index.ts";
import { Chance } from "../../support/chance.ts";
import { FakeClock } from "../../support/fake-clock.ts";

/** Few, so that readers and engine meet at the same ones all the time. */
const keyCount = 64;
const rowsMax = 40;
const blockBytes = 4 * KiB;
const pinsMax = 16;

export interface ReadCounts {
  readonly hits: number;
  readonly misses: number;
  readonly wrong: number;
}

interface ReaderData {
  readonly memory: IndexMemory;
  readonly reads: number;
  readonly seed: number;
  readonly ended: Int32Array<SharedArrayBuffer>;
}

function keyOf(number: number): Int32Array {
  const key = new Int32Array(keyWords).fill(Math.imul(number, 0x01000193));
  key[keyWords - 1] = number;
  return key;
}

/** Every word of a block names it. */
function isWhole(bytes: Buffer, number: number): boolean {
  for (let at = 0; at < bytes.length; at += 512) if (bytes.readUInt32LE(at) !== number) return false;
  return bytes.readUInt32LE(bytes.length - 4) === number;
}

function read({ memory, reads, seed, ended }: ReaderData): void {
  const blocks = new SharedBlocks(memory);
  parentPort?.on("message", ([slab, number]: [SharedArrayBuffer, number]) => blocks.addSlab(slab, number));
  const chance = new Chance(seed);
  const keys = Array.from({ length: keyCount }, (_, number) => keyOf(number));
  const pinned: { row: number; number: number }[] = [];
  let hits = 0;
  let wrong = 0;
  const check = ({ row, number }: { row: number; number: number }): void => {
    if (!isWhole(blocks.slice(row, 0, blockBytes), number)) wrong += 1;
  };
  let left = reads;
  const turn = (): void => {
    for (let count = Math.min(left, 10_000); count > 0; count -= 1, left -= 1) {
      const number = chance.below(keyCount);
      const row = blocks.pin(keys[number] as Int32Array);
      if (row !== noRow) {
        hits += 1;
        check({ row, number });
        blocks.use(row);
        pinned.push({ row, number });
      }
      const oldest = pinned.length > chance.below(pinsMax) ? pinned.shift() : undefined;
      if (oldest === undefined) continue;
      check(oldest);
      blocks.unpin(oldest.row);
    }
    if (left > 0) {
      setImmediate(turn);
      return;
    }
    for (const each of pinned) blocks.unpin(each.row);
    Atomics.add(ended, 0, 1);
    parentPort?.postMessage({ hits, misses: reads - hits, wrong } satisfies ReadCounts);
    parentPort?.close();
  };
  turn();
}

/** Replaces blocks in random order until all readers have ended. */
class Evictor {
  readonly index = new SharedIndex(rowsMax);
  readonly budget = new MemoryBudget({ maxBytes: MiB, clock: new FakeClock(), poison: true });
  readonly #held = new Map<number, { row: number; segment: Segment }>();
  readonly #chance: Chance;
  replaced = 0;
  uses = 0;

  constructor(seed: number) {
    this.#chance = new Chance(seed);
  }

  /** Evicts a block that is held, and inserts one that is not. */
  replace(): void {
    const number = this.#chance.below(keyCount);
    const held = this.#held.get(number);
    if (held) this.#evict(number, held);
    else this.#insert(number);
  }

  async clear(): Promise<void> {
    for (const [number, held] of this.#held) this.#evict(number, held);
    while (this.index.condemned > 0) await new Promise<void>((resolve) => void setImmediate(resolve));
  }

  #evict(number: number, { row, segment }: { row: number; segment: Segment }): void {
    this.#held.delete(number);
    this.uses += this.index.takeUses(row);
    this.index.remove(row, segment);
    segment.release();
    this.replaced += 1;
  }

  #insert(number: number): void {
    const reservation = this.budget.tryReserve(blockBytes);
    if (!reservation) return;
    const segment = reservation.takeSegment(blockBytes);
    new Uint32Array(segment.bytes.buffer, segment.bytes.byteOffset, blockBytes / 4).fill(number);
    const row = this.index.insert(keyOf(number), segment);
    if (row === noRow) segment.release();
    else this.#held.set(number, { row, segment });
  }
}

/** Reads so many blocks, divided among so many threads. */
export async function readWhileEvicting(
  reads: number,
  threads: number,
  seed: number,
): Promise<ReadCounts & { readonly replaced: number; readonly uses: number }> {
  const evictor = new Evictor(seed);
  const ended = new Int32Array(new SharedArrayBuffer(4));
  const results = Array.from({ length: threads }, async (_, thread): Promise<ReadCounts> => {
    const data: ReaderData = {
      memory: evictor.index.memory,
      reads: reads / threads,
      seed: seed + 1 + thread,
      ended,
    };
    const worker = new Worker(new URL(import.meta.url), { workerData: data });
    evictor.index.subscribe((slab, number) => worker.postMessage([slab, number]));
    return ((await once(worker, "message")) as [ReadCounts])[0];
  });
  while (Atomics.load(ended, 0) < threads) {
    for (let count = 0; count < 200; count += 1) evictor.replace();
    await new Promise<void>((resolve) => void setImmediate(resolve));
  }
  const counts = await Promise.all(results);
  await evictor.clear();
  assert.equal(evictor.budget.usedBytes, 0, "all memory is free when all readers have left");
  assert.equal(evictor.index.stats.rows, 0);
  const sum = (field: keyof ReadCounts): number => counts.reduce((total, each) => total + each[field], 0);
  const { replaced, uses } = evictor;
  return { hits: sum("hits"), misses: sum("misses"), wrong: sum("wrong"), replaced, uses };
}

if (!isMainThread && (workerData as Partial<ReaderData> | null)?.ended) {
  read(workerData as ReaderData);
} else if (import.meta.main) {
  const [reads = "10000000", threads = "2", seed = "1"] = process.argv.slice(2);
  const started = performance.now();
  const counts = await readWhileEvicting(Number(reads), Number(threads), Number(seed));
  console.log({ ...counts, seconds: (performance.now() - started) / 1000 });
  process.exitCode = counts.wrong === 0 ? 0 : 1;
}
