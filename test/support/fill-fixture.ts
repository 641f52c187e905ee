/**
 * The read path of one replica over a scripted origin: real memory tier, flights and readers; the origin, the disk and
 * time are in the test's hand.
 */

import { MemoryBudget } from "../../src/base/memory-budget.ts";
import { ReaderMemory } from "../../src/base/reader-memory.ts";
import { MiB } from "../../src/base/units.ts";
import { ObjectVersion } from "../../src/chunk/object-version.ts";
import { BlockReads } from "../../src/fill/block-reads.ts";
import { Filler } from "../../src/fill/filler.ts";
import type { Cachestore } from "../../src/fill/memory-chunks.ts";
import type { ObjectReader } from "../../src/fill/object-reader.ts";
import type { ReadPath } from "../../src/fill/read-path.ts";
import { ReadWindows } from "../../src/fill/read-windows.ts";
import { MemoryTier } from "../../src/store/memory-tier.ts";
import { FakeClock } from "./fake-clock.ts";
import { FakeStore } from "./fake-store.ts";
import { ScriptedOrigin, type ScriptedRead } from "./scripted-origin.ts";

export interface FillFixtureOptions {
  readonly maxBytes?: number;
  readonly disk?: boolean;
  readonly readAheadMax?: number;
  readonly chunkSizeBytes?: number;
  readonly cachestore?: Cachestore;
  readonly fillsWhole?: boolean;
}

export function fillFixture(options: FillFixtureOptions = {}) {
  const clock = new FakeClock();
  const origin = new ScriptedOrigin();
  const budget = new MemoryBudget({ maxBytes: options.maxBytes ?? 256 * MiB, clock, poison: true });
  const memory = new MemoryTier({ budget });
  const disk = options.disk ? new FakeStore() : undefined;
  const queueTimeoutMs = 5000;
  const filler = new Filler({
    origins: new Map([[origin.id, origin]]),
    memory,
    disk,
    budget,
    queueTimeoutMs,
    cachestore: options.cachestore,
    fillsWhole: options.fillsWhole ?? false,
  });
  const path: ReadPath = {
    memory,
    disk,
    flights: filler,
    budget,
    queueTimeoutMs,
    readerMemory: new ReaderMemory(budget, clock),
    blockReads: new BlockReads({ budget, clock, queueTimeoutMs }),
    readAheadMax: options.readAheadMax ?? 0,
    windows: new ReadWindows(),
    sentBytes: { memory: 0, disk: 0, cachestore: 0, peer: 0, origin: 0, join: 0 },
  };
  const version = (key: string, sizeBytes: number): ObjectVersion =>
    new ObjectVersion({
      originId: origin.id,
      bucket: "b",
      objectKey: key,
      etag: "v1",
      sizeBytes,
      chunkSizeBytes: options.chunkSizeBytes ?? 8 * MiB,
    });
  const readNumber = (index: number): ScriptedRead => {
    const read = origin.reads[index];
    if (!read) throw new Error(`the origin was asked ${origin.reads.length} times, not ${index + 1}`);
    return read;
  };
  return { clock, origin, budget, memory, disk, filler, path, version, readNumber };
}

/** Pulls a reader to its end, as a client that takes everything at once would. */
export async function drain(reader: ObjectReader): Promise<Buffer> {
  const slices: Buffer[] = [];
  while (!reader.done) {
    const slice = reader.take();
    if (slice === null) {
      await reader.ready();
      continue;
    }
    slices.push(Buffer.from(slice));
    reader.release();
  }
  reader.close();
  return Buffer.concat(slices);
}
