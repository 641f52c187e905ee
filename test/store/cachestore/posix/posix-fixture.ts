/**
 * A directory for the POSIX cachestores of several replicas, and a view of its files. A test opens the gate (gate.ts)
 * before it closes a store that hangs.
 */
import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, readdirSync, readlinkSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { MemoryBudget } from "../../../../src/base/memory-budget.ts";
import { MiB } from "../../../../src/base/units.ts";
import type { GuardedCachestore } from "../../../../src/store/cachestore/guarded-cachestore.ts";
import {
  PosixCachestore,
  type PosixCachestoreOptions,
} from "../../../../src/store/cachestore/posix/posix-cachestore.ts";
import { chunkFilePath } from "../../../../src/store/chunk-file/chunk-file.ts";
import type { ChunkKey, PutResult } from "../../../../src/store/chunk-store.ts";
import { FakeClock } from "../../../support/fake-clock.ts";
import { MemorySink } from "../../../support/memory-sink.ts";
import { assertPattern } from "../../../support/pattern.ts";
import { RecordedLogger } from "../../../support/recorded-logger.ts";
import { until } from "../../../support/until.ts";
import { putChunk, seedOf } from "../../disk/disk-fixture.ts";
import { Gate } from "../../disk/gate.ts";
import { guarded } from "../guarded.ts";

const never = new AbortController().signal;

export class PosixFixture {
  readonly #base = mkdtempSync(join(tmpdir(), "orca-posixfs-"));
  readonly root = join(this.#base, "mount");
  readonly gate = new Gate(this.#base);
  readonly clock = new FakeClock();
  readonly logger = new RecordedLogger();
  readonly budget = new MemoryBudget({ maxBytes: 256 * MiB, clock: this.clock, poison: true });
  readonly #stores: PosixCachestore[] = [];

  constructor() {
    mkdirSync(this.root);
  }

  /** A store whose check has not run. */
  unchecked(overrides: Partial<PosixCachestoreOptions> = {}): PosixCachestore {
    const store = new PosixCachestore({
      root: this.root,
      clock: this.clock,
      logger: this.logger,
      readsMax: 2,
      ...overrides,
    });
    this.#stores.push(store);
    return store;
  }

  async open(overrides: Partial<PosixCachestoreOptions> = {}): Promise<PosixCachestore> {
    const store = this.unchecked(overrides);
    await store.check();
    return store;
  }

  async guarded(): Promise<GuardedCachestore> {
    return guarded(await this.open(), this.clock, this.logger);
  }

  get directory(): string {
    return join(this.root, "orca-posixfs.v1");
  }

  get staging(): string {
    return join(this.directory, "staging");
  }

  pathOf(key: ChunkKey): string {
    return chunkFilePath(this.directory, key.version.chunkPath(key.index));
  }

  /** Paths of all files below the directory, staging files included. */
  files(): string[] {
    const entries = readdirSync(this.directory, { recursive: true, withFileTypes: true });
    return entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
  }

  put(store: PosixCachestore, key: ChunkKey): Promise<PutResult> {
    return putChunk(store, this.budget, key);
  }

  async close(): Promise<void> {
    await Promise.all(this.#stores.map((store) => store.close(60_000)));
    rmSync(this.#base, { recursive: true, force: true });
  }
}

/** A test with a directory of its own. At its end no memory is held, no file is open and no timer runs. */
export function criterion(title: string, body: (fixture: PosixFixture) => Promise<void>): void {
  test(`PosixCachestore: ${title}`, async () => {
    const fixture = new PosixFixture();
    try {
      await body(fixture);
    } finally {
      await fixture.close();
    }
    // Files are closed by other threads, and nobody waits for them.
    await until(() => openBelow(fixture.root) === 0);
    assert.equal(fixture.budget.usedBytes, 0, "all memory was released");
    assert.equal(fixture.clock.pendingTimers, 0, "every timer was cancelled");
  });
}

/** Reads a range into a sink that checks its use. False is a miss. @throws the error of the store. */
export async function readRange(
  store: PosixCachestore,
  key: ChunkKey,
  offset: number,
  lengthBytes: number,
  signal = never,
): Promise<boolean> {
  const sink = new MemorySink(lengthBytes);
  try {
    const outcome = await store.read(key, offset, lengthBytes, sink, signal);
    if (outcome === "hit" && sink.receivedBytes !== lengthBytes) throw new Error("a hit brings all bytes");
    return outcome === "hit";
  } finally {
    assertPattern(sink.received, seedOf(key), offset);
    sink.settle();
    sink.assertUntouched();
  }
}

export function readAll(store: PosixCachestore, key: ChunkKey): Promise<boolean> {
  return readRange(store, key, 0, key.version.chunkLength(key.index));
}

/** Descriptors of this process that refer to a file below `directory`. */
export function openBelow(directory: string): number {
  let count = 0;
  for (const fd of readdirSync("/proc/self/fd")) {
    try {
      if (readlinkSync(`/proc/self/fd/${fd}`).startsWith(directory)) count += 1;
    } catch {
      // Closed since it was listed.
    }
  }
  return count;
}
