/** Limits that hold for the process, as two threads see them. */
import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { ObjectVersion } from "../../../src/chunk/object-version.ts";
import type { EngineLink } from "../../../src/edge/threads/engine-link.ts";
import { ProcessLimits } from "../../../src/edge/threads/process-limits.ts";
import { ThreadBodies } from "../../../src/edge/threads/thread-bodies.ts";
import { noRow } from "../../../src/store/shared-index/pin-protocol.ts";
import type { SharedBlocks } from "../../../src/store/shared-index/shared-blocks.ts";
import { FakeClock } from "../../support/fake-clock.ts";

const version = new ObjectVersion({
  originId: "o",
  bucket: "b",
  objectKey: "k",
  etag: "e",
  sizeBytes: 100,
  chunkSizeBytes: 100,
});

function slabNumberOf(row: number): number {
  return Math.floor(row / 2);
}

/** A thread that finds each block it looks for in a row of its own, from row 2 on. Two rows lie in one slab. */
class Thread {
  readonly bodies: ThreadBodies;
  #rows = 2;

  constructor(limits: ProcessLimits, pinnedSlabsMax: number) {
    const blocks = { pin: () => this.#rows++, unpin: () => {}, slabNumberOf } as unknown as SharedBlocks;
    const options = { link: {} as EngineLink, trace: {} as never, readAheadMax: 0 };
    this.bodies = new ThreadBodies({ ...options, blocks, limits, pinnedSlabsMax });
  }

  /** Pins `count` rows, and returns those that it may. */
  pin(count: number): number[] {
    const rows = Array.from({ length: count }, () => this.bodies.pin(version, 0, 0));
    return rows.filter((row) => row !== noRow);
  }
}

suite("ProcessLimits", () => {
  test("tryPinSlab: one thread pins all slabs but the first of the other, and what it releases the other may pin", () => {
    const limits = new ProcessLimits();
    const [busy, other] = [new Thread(limits, 3), new Thread(new ProcessLimits(limits.words), 3)];
    // Two rows in each of four slabs: its own one, and three that both threads share.
    const rows = busy.pin(12);
    assert.deepEqual(rows, [2, 3, 4, 5, 6, 7, 8, 9]);
    assert.deepEqual(other.pin(6), [2, 3]);
    // The slab is pinned by the row beside it.
    busy.bodies.unpin(2);
    assert.deepEqual(other.pin(2), []);
    busy.bodies.unpin(3);
    assert.deepEqual(other.pin(2), [10, 11]);
    for (const row of [4, 5, 6, 7, 8, 9]) busy.bodies.unpin(row);
    for (const row of [2, 3, 10, 11]) other.bodies.unpin(row);
    // All of them again.
    assert.equal(other.pin(12).length, 8);
  });

  test("logPace: threads share the lines of a kind, and the next minute tells of all that were left out", async () => {
    const clock = new FakeClock();
    const limits = new ProcessLimits();
    const [one, other] = [limits, new ProcessLimits(limits.words)].map((each) => each.logPace(clock, 3));
    const taken = [one, other, one, other, one].map((pace) => pace?.take("502"));
    assert.deepEqual(taken, [{}, {}, {}, undefined, undefined]);
    assert.deepEqual(other?.take("503"), {});
    await clock.advance(59_000);
    assert.equal(other?.take("502"), undefined);
    await clock.advance(1000);
    assert.deepEqual([other?.take("502"), one?.take("502"), other?.take("503")], [{ suppressed: 3 }, {}, {}]);
  });

  test("logPace: past 256 kinds further ones share one bound", () => {
    const pace = new ProcessLimits().logPace(new FakeClock(), 1);
    for (let kind = 0; kind < 256; kind += 1) assert.deepEqual(pace.take(`kind ${kind}`), {});
    assert.equal(pace.take("kind 0"), undefined);
    assert.deepEqual([pace.take("kind 256"), pace.take("kind 257")], [{}, undefined]);
  });

  test("logPace: a clock that is set back ends the minute", async () => {
    const limits = new ProcessLimits();
    const later = new FakeClock();
    await later.advance(3_600_000);
    assert.deepEqual(limits.logPace(later, 1).take("502"), {});
    assert.deepEqual(limits.logPace(new FakeClock(), 1).take("502"), {});
  });
});
