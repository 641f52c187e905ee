import assert from "node:assert/strict";
import { test } from "node:test";
import { heapAllowanceBytes, MemoryBudget } from "../../src/base/memory-budget.ts";
import { KiB, MiB } from "../../src/base/units.ts";
import { defaultChunkTiers } from "../../src/chunk/chunk-layout.ts";
import { Directory } from "../../src/object/directory.ts";
import { OriginHeads } from "../../src/object/heads/origin-heads.ts";
import { HeapShare } from "../../src/object/heap-share.ts";
import { FakeClock } from "../support/fake-clock.ts";

const negativeTtlMs = 60_000;
const ttlMs = 300_000;

/** Directories over origins whose objects all have `valueBytes` of user metadata; 0: there are none. */
function fixture(bytesMax: number, { valueBytes = 64 * KiB, maxBytes = 4 * MiB, directories = 1 } = {}) {
  const clock = new FakeClock();
  const budget = new MemoryBudget({ maxBytes, clock });
  const heap = new HeapShare(budget, bytesMax);
  const head = async () => {
    if (valueBytes === 0) return null;
    const metadata = { value: "v".repeat(valueBytes) };
    return { etag: "v1", sizeBytes: 10, lastModifiedMs: 0, metadata };
  };
  const open = (): Directory =>
    new Directory({
      source: new OriginHeads({ id: "origin-a", head }),
      clock,
      chunkTiers: defaultChunkTiers,
      ttlMs,
      negativeTtlMs,
      entriesMax: 10_000,
      heap,
    });
  return { clock, budget, heap, directories: Array.from({ length: directories }, open) };
}

const objectAt = (index: number) => ({ bucket: "b", key: `k${String(index).padStart(5, "0")}` });

async function fill(directory: Directory, from: number, to: number): Promise<void> {
  for (let index = from; index < to; index += 1) await directory.lookup(objectAt(index));
}

function held(directory: Directory, count: number): number[] {
  return Array.from({ length: count }, (_, index) => index).filter((index) =>
    directory.peek(objectAt(index)),
  );
}

/** What one more entry is charged. */
async function entryCost(valueBytes?: number): Promise<number> {
  const { heap, directories } = fixture(MiB, { ...(valueBytes !== undefined && { valueBytes }) });
  await (directories[0] as Directory).lookup(objectAt(0));
  return heap.bytes;
}

test("Directory: at the bound of bytes the entries used least recently are forgotten", async () => {
  const costBytes = await entryCost();
  assert.ok(costBytes > 64 * KiB && costBytes < 67 * KiB, `${costBytes} bytes`);
  const { heap, directories } = fixture(10 * costBytes);
  const directory = directories[0] as Directory;
  await fill(directory, 0, 10);
  assert.deepEqual([directory.size, directory.bytes, heap.bytes], [10, 10 * costBytes, 10 * costBytes]);
  directory.peek(objectAt(0));
  await fill(directory, 10, 13);
  // The last versions of forgotten objects stay, and take a little of the share.
  assert.deepEqual([directory.size, held(directory, 13)], [9, [0, 5, 6, 7, 8, 9, 10, 11, 12]]);
  assert.ok(heap.bytes <= heap.bytesMax && heap.bytes === directory.bytes);
});

test("Directory: 1,000 entries with 64 KiB of headers take no more than the share", async () => {
  const { heap, directories } = fixture(8 * MiB);
  const directory = directories[0] as Directory;
  await fill(directory, 0, 1000);
  assert.ok(heap.bytes <= 8 * MiB && directory.bytes === heap.bytes, `${heap.bytes} bytes`);
  assert.ok(directory.size > 50, `${directory.size} entries`);
});

test("Directory: absences are bounded in bytes, too", async () => {
  const costBytes = await entryCost(0);
  const { directories } = fixture(100 * costBytes, { valueBytes: 0 });
  const directory = directories[0] as Directory;
  await fill(directory, 0, 300);
  assert.deepEqual([directory.size, directory.bytes], [100, 100 * costBytes]);
  assert.deepEqual(held(directory, 300)[0], 200);
});

test("Directory: markers of invalidations are bounded in bytes, and go when they have no more effect", async () => {
  const { clock, heap, directories } = fixture(100 * KiB);
  const directory = directories[0] as Directory;
  for (let index = 0; index < 10_000; index += 1) directory.invalidate(objectAt(index));
  assert.ok(heap.bytes <= 100 * KiB && heap.bytes > 99 * KiB);
  await clock.advance(60_000);
  assert.deepEqual([heap.bytes, clock.pendingTimers], [0, 0]);
});

test("Directory: several share the bytes, and one with few entries keeps them", async () => {
  const costBytes = await entryCost();
  const { heap, directories } = fixture(10 * costBytes, { directories: 2 });
  const [busy, quiet] = directories as [Directory, Directory];
  await fill(quiet, 0, 2);
  await fill(busy, 0, 100);
  assert.deepEqual(held(quiet, 2), [0, 1]);
  assert.equal(heap.bytes, busy.bytes + quiet.bytes);
});

test("Directory: entries that nobody asks for again are released when they have expired", async () => {
  const { clock, budget, heap, directories } = fixture(heapAllowanceBytes + 8 * MiB, { maxBytes: 16 * MiB });
  const directory = directories[0] as Directory;
  await fill(directory, 0, 1100);
  assert.equal(budget.usedBytes, heap.bytes - heapAllowanceBytes);
  await clock.advance(ttlMs + 60_000);
  assert.equal(directory.size, 0);
  assert.equal(budget.usedBytes, 0);
  // The last versions stay: an overwrite that is found later makes the old chunks the first to be evicted.
  assert.ok(heap.bytes > 0 && heap.bytes < 1100 * 400, `${heap.bytes} bytes`);
  assert.equal(clock.pendingTimers, 0);
});

test("Directory: the charge of absences returns to zero when all have expired", async () => {
  const { clock, heap, directories } = fixture(8 * MiB, { valueBytes: 0 });
  await fill(directories[0] as Directory, 0, 1000);
  assert.ok(heap.bytes > 0);
  await clock.advance(negativeTtlMs + 60_000);
  assert.deepEqual([heap.bytes, clock.pendingTimers], [0, 0]);
});

test("Directory: the charge returns to zero when the replica stops, and late answers are not kept", async () => {
  const { clock, budget, heap, directories } = fixture(heapAllowanceBytes + 2 * MiB);
  const directory = directories[0] as Directory;
  await fill(directory, 0, 1050);
  assert.ok(budget.usedBytes > MiB);
  const late = directory.lookup(objectAt(2000));
  directory.close();
  heap.close();
  await late;
  assert.deepEqual([heap.bytes, budget.usedBytes, directory.size, clock.pendingTimers], [0, 0, 0, 0]);
});
