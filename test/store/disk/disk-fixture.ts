/**
 * A disk tier in a directory of its own, with chunks in which every byte depends on its offset, and a view of the files
 * on disk. So a test checks the file system and not the tier's own account.
 */
import assert from "node:assert/strict";
import { existsSync, mkdtempSync, readdirSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { MemoryBudget, type Segment, segmentSizeBytes } from "../../../src/base/memory-budget.ts";
import { MiB } from "../../../src/base/units.ts";
import type { ChunkBytes } from "../../../src/chunk/chunk-bytes.ts";
import { ObjectVersion } from "../../../src/chunk/object-version.ts";
import { chunkFilePath } from "../../../src/store/chunk-file/chunk-file.ts";
import type { ChunkKey, PutResult } from "../../../src/store/chunk-store.ts";
import { DiskTier, type DiskTierOptions } from "../../../src/store/disk/disk-tier.ts";
import { type EvictionPolicy, type NewPolicy, noRow } from "../../../src/store/eviction/eviction-policy.ts";
import { S3Fifo } from "../../../src/store/eviction/s3-fifo.ts";
import { TunedS3Fifo } from "../../../src/store/eviction/tuned-s3-fifo.ts";
import { chunkOf as patternChunk } from "../../support/chunk-of.ts";
import { FakeClock } from "../../support/fake-clock.ts";
import { assertPattern } from "../../support/pattern.ts";
import { RecordedLogger } from "../../support/recorded-logger.ts";
import { until } from "../../support/until.ts";

/** First in, first out: chunks are evicted in the order in which a test has put them. */
export class FifoPolicy implements EvictionPolicy {
  #rows = new Set<number>();
  touches = 0;

  insert(row: number): void {
    this.#rows.add(row);
  }

  touch(): void {
    this.touches += 1;
  }

  remove(row: number): void {
    this.#rows.delete(row);
  }

  reinsert(row: number): void {
    this.#rows.add(row);
  }

  supersede(row: number): void {
    this.#rows = new Set([row, ...this.#rows]);
  }

  evict(): number {
    for (const row of this.#rows) {
      this.#rows.delete(row);
      return row;
    }
    return noRow;
  }

  remembers(): boolean {
    return false;
  }
}

/** The policies of Orca, for {@link openTier}. */
export const newTuned: NewPolicy = (entries, rowsMax, beside) =>
  new TunedS3Fifo(entries, rowsMax, beside instanceof TunedS3Fifo ? beside : undefined);
export const newS3Fifo: NewPolicy = (entries, rowsMax) => new S3Fifo(entries, rowsMax);

/** Opens a tier on a root, and does not wait for the scan. Its size is 1 GiB unless `overrides` set another. */
export function openTier(root: string, overrides: Partial<DiskTierOptions> = {}): DiskTier {
  return DiskTier.open({
    root,
    maxBytes: 1024 * MiB,
    highWatermark: 0.95,
    lowWatermark: 0.85,
    fsync: false,
    replicaId: "replica-a",
    maxChunks: 100_000,
    policy: () => new FifoPolicy(),
    clock: new FakeClock(),
    logger: new RecordedLogger(),
    ...overrides,
  });
}

export class DiskFixture {
  readonly root = mkdtempSync(join(tmpdir(), "orca-disk-"));
  readonly clock = new FakeClock();
  readonly logger = new RecordedLogger();
  readonly budget = new MemoryBudget({ maxBytes: 256 * MiB, clock: this.clock, poison: true });
  readonly #tiers: DiskTier[] = [];

  /** Like {@link openTier}. The tier is closed with the fixture. */
  openUnscanned(overrides: Partial<DiskTierOptions> = {}): DiskTier {
    const tier = openTier(this.root, { clock: this.clock, logger: this.logger, ...overrides });
    this.#tiers.push(tier);
    return tier;
  }

  async open(overrides: Partial<DiskTierOptions> = {}): Promise<DiskTier> {
    const tier = this.openUnscanned(overrides);
    await tier.ready;
    return tier;
  }

  get directory(): string {
    return join(this.root, "orca-disk.v1", "replica-a");
  }

  pathOf(key: ChunkKey): string {
    return chunkFilePath(this.directory, key.version.chunkPath(key.index));
  }

  stagedFiles(): string[] {
    return readdirSync(join(this.directory, "staging"));
  }

  chunkFiles(): string[] {
    const directories = readdirSync(this.directory).filter((name) => name.length === 2);
    return directories.flatMap((name) =>
      readdirSync(join(this.directory, name)).map((file) => join(this.directory, name, file)),
    );
  }

  /** The sum of the sizes of all chunk files and staging files. */
  bytesOnDisk(): number {
    const staged = this.stagedFiles().map((name) => join(this.directory, "staging", name));
    let bytes = 0;
    for (const path of [...this.chunkFiles(), ...staged]) {
      bytes += statSync(path, { throwIfNoEntry: false })?.size ?? 0;
    }
    return bytes;
  }

  async close(): Promise<void> {
    await Promise.all(this.#tiers.map((tier) => tier.close(60_000)));
    rmSync(this.root, { recursive: true, force: true });
  }

  chunk(key: ChunkKey): ChunkBytes {
    return chunkOf(this.budget, key);
  }

  put(tier: DiskTier, key: ChunkKey): Promise<PutResult> {
    return putChunk(tier, this.budget, key);
  }
}

export function keyOf(objectKey: string, sizeBytes: number, index = 0, chunkSizeBytes = 8 * MiB): ChunkKey {
  const version = new ObjectVersion({
    originId: "origin-a",
    bucket: "bucket",
    objectKey,
    etag: "etag-1",
    sizeBytes,
    chunkSizeBytes,
  });
  return { version, index };
}

export function seedOf(key: ChunkKey): number {
  return Number.parseInt(key.version.hash.slice(0, 7), 16) + key.index;
}

export function chunkOf(budget: MemoryBudget, key: ChunkKey): ChunkBytes {
  return patternChunk(budget, key.version.chunkLength(key.index), seedOf(key));
}

/** Puts a chunk, and releases it when the put has ended. */
export async function putChunk<Result>(
  store: { put(key: ChunkKey, chunk: ChunkBytes): Promise<Result> },
  budget: MemoryBudget,
  key: ChunkKey,
): Promise<Result> {
  const chunk = chunkOf(budget, key);
  try {
    return await store.put(key, chunk);
  } finally {
    chunk.release();
  }
}

/** Reads one block. False is a miss. @throws AssertionError if the tier returned a wrong byte. */
export async function readBlock(tier: DiskTier, key: ChunkKey, blockIndex = 0): Promise<boolean> {
  const restBytes = key.version.chunkLength(key.index) - blockIndex * segmentSizeBytes;
  const target = Buffer.from(new SharedArrayBuffer(Math.min(segmentSizeBytes, restBytes)));
  if (!(await tier.readBlock(key, blockIndex, target))) return false;
  assertPattern(target, seedOf(key), blockIndex * segmentSizeBytes);
  return true;
}

/** Reads a whole chunk. False if any block is a miss. */
export async function readChunk(tier: DiskTier, key: ChunkKey): Promise<boolean> {
  const blocks = Math.ceil(key.version.chunkLength(key.index) / segmentSizeBytes);
  for (let block = 0; block < blocks; block += 1) {
    if (!(await readBlock(tier, key, block))) return false;
  }
  return true;
}

/**
 * Begins a read that a thread keeps until there is a file "gate" (reads/faulty-read-thread.ts). The caller releases the
 * segment that it reads into.
 */
export async function beginHangingRead(
  { budget, root }: DiskFixture,
  tier: DiskTier,
  key: ChunkKey,
  blockIndex: number,
  lengthBytes: number,
): Promise<{ readonly reading: Promise<boolean>; readonly segment: Segment }> {
  const reservation = await budget.reserve(lengthBytes, 1000);
  const segment = reservation.takeSegment(lengthBytes);
  const reading = tier.readBlock(key, blockIndex, segment.bytes, segment);
  await until(() => existsSync(join(root, "gate.waiting")));
  return { reading, segment };
}

/**
 * As many readers as there are chunks read them side by side, each of them `reads` times. Meanwhile one chunk after the
 * other is deleted and stored again. A read may miss, but no read returns a wrong byte or finds damage.
 */
export async function assertReadsWhileChanging(
  fixture: DiskFixture,
  keys: readonly ChunkKey[],
  { reads, changes }: { readonly reads: number; readonly changes: number },
): Promise<void> {
  const tier = await fixture.open({ openFilesMax: 2 });
  for (const key of keys) await fixture.put(tier, key);
  let hits = 0;
  const reader = async (first: number): Promise<void> => {
    for (let read = 0; read < reads; read += 1) {
      const key = keys[(first + read) % keys.length] as ChunkKey;
      const blocks = Math.ceil(key.version.chunkLength(key.index) / segmentSizeBytes);
      if (await readBlock(tier, key, read % blocks)) hits += 1;
    }
  };
  const changer = async (): Promise<void> => {
    for (let change = 0; change < changes; change += 1) {
      const key = keys[change % keys.length] as ChunkKey;
      await tier.delete(key);
      await fixture.put(tier, key);
    }
  };
  await Promise.all([...keys.keys()].map(reader).concat(changer()));
  assert.ok(hits > 100, `${hits} hits`);
  assert.deepEqual([tier.stats.damaged, tier.stats.threadCrashes, tier.readsInProgress], [0, 0, 0]);
}
