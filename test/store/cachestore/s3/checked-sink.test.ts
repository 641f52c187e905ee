import assert from "node:assert/strict";
import { suite, test } from "node:test";
import fc from "fast-check";
import type { ByteSink } from "../../../../src/base/byte-sink.ts";
import { segmentSizeBytes } from "../../../../src/base/memory-budget.ts";
import { KiB, MiB } from "../../../../src/base/units.ts";
import {
  blocksAround,
  CheckedSink,
  type ChunkRange,
} from "../../../../src/store/cachestore/s3/checked-sink.ts";
import { digestOf } from "../../../../src/store/cachestore/s3/chunk-digest.ts";
import { patternBytes } from "../../../support/pattern.ts";

const chunkLengthBytes = 3 * MiB + 5000;
const chunk = patternBytes(1, 0, chunkLengthBytes);
const { blockCrcs } = digestOf(blocksOf(chunk));

function blocksOf(bytes: Buffer): Buffer[] {
  const blocks: Buffer[] = [];
  for (let offset = 0; offset < bytes.length; offset += segmentSizeBytes) {
    blocks.push(bytes.subarray(offset, offset + segmentSizeBytes));
  }
  return blocks;
}

/** A reader whose memory is divided into segments, or into pieces of `roomBytes`. */
class Reader implements ByteSink {
  readonly received: Buffer;
  readonly #offset: number;
  readonly #roomBytes: number;
  receivedBytes = 0;

  constructor({ offset, lengthBytes }: ChunkRange, roomBytes = segmentSizeBytes) {
    this.received = Buffer.alloc(lengthBytes);
    this.#offset = offset;
    this.#roomBytes = roomBytes;
  }

  space(): Buffer {
    const roomBytes = this.#roomBytes - ((this.#offset + this.receivedBytes) % this.#roomBytes);
    return this.received.subarray(this.receivedBytes, this.receivedBytes + roomBytes);
  }

  advance(lengthBytes: number): void {
    this.receivedBytes += lengthBytes;
  }
}

/** Sends the blocks around the range in pieces of at most `pieceBytes`. Returns the numbers of right and wrong blocks. */
function send(
  sink: ByteSink,
  range: ChunkRange,
  pieceBytes: number,
  body: Buffer,
  crcs: Uint32Array | undefined,
) {
  const ended = { right: 0, wrong: 0 };
  const checked = new CheckedSink(sink, range, crcs, (isRight) => {
    ended[isRight ? "right" : "wrong"] += 1;
  });
  const { start, end } = blocksAround(range);
  for (let position = start; position < end && ended.wrong === 0; ) {
    const space = checked.space();
    assert.ok(space.length > 0, "there is room while bytes are owed");
    const copied = body.copy(space, 0, position, Math.min(position + pieceBytes, end));
    checked.advance(copied);
    position += copied;
  }
  return ended;
}

suite("CheckedSink", () => {
  test("blocksAround: whole blocks, the last one up to the end of the chunk", () => {
    const around = (offset: number, lengthBytes: number) =>
      blocksAround({ offset, lengthBytes, chunkLengthBytes });
    assert.deepEqual(around(0, 1), { start: 0, end: MiB });
    assert.deepEqual(around(MiB - 1, 2), { start: 0, end: 2 * MiB });
    assert.deepEqual(around(MiB, MiB), { start: MiB, end: 2 * MiB });
    assert.deepEqual(around(3 * MiB + 4999, 1), { start: 3 * MiB, end: chunkLengthBytes });
  });

  test("any range, in pieces of any size, with and without checksums, into memory in pieces of any size", () => {
    const ranges = fc.integer({ min: 0, max: chunkLengthBytes - 1 }).chain((offset) =>
      fc.integer({ min: 1, max: chunkLengthBytes - offset }).map((lengthBytes) => ({
        offset,
        lengthBytes,
        chunkLengthBytes,
      })),
    );
    const pieces = fc.integer({ min: 10 * KiB, max: 2 * MiB });
    const rooms = fc.constantFrom(segmentSizeBytes, 300 * KiB, 8 * MiB);
    fc.assert(
      fc.property(ranges, pieces, rooms, fc.boolean(), (range, pieceBytes, roomBytes, hasCrcs) => {
        const reader = new Reader(range, roomBytes);
        const ended = send(reader, range, pieceBytes, chunk, hasCrcs ? blockCrcs : undefined);
        assert.equal(ended.wrong, 0);
        assert.equal(reader.receivedBytes, range.lengthBytes);
        const { offset, lengthBytes } = range;
        assert.ok(reader.received.equals(chunk.subarray(offset, offset + lengthBytes)));
      }),
      { numRuns: 60 },
    );
  });

  test("no byte of a damaged block is passed on, also if the flipped bit is outside the range", () => {
    for (const flippedAt of [MiB + 10, 2 * MiB - 1]) {
      const body = Buffer.from(chunk);
      body[flippedAt] = (body[flippedAt] as number) ^ 1;
      const range = { offset: 100, lengthBytes: 2 * MiB - 1000, chunkLengthBytes };
      const reader = new Reader(range);
      assert.deepEqual(send(reader, range, 64 * KiB, body, blockCrcs), { right: 1, wrong: 1 });
      assert.equal(reader.receivedBytes, MiB - 100);
    }
  });

  test("checked bytes wait for their block, others do not; both are written into the reader's memory", () => {
    for (const [crcs, handedOn] of [
      [blockCrcs, 0],
      [undefined, 1000],
    ] as const) {
      const range = { offset: 0, lengthBytes: MiB, chunkLengthBytes };
      const reader = new Reader(range);
      const checked = new CheckedSink(reader, range, crcs, () => {});
      chunk.copy(checked.space(), 0, 0, 1000);
      checked.advance(1000);
      assert.equal(reader.receivedBytes, handedOn);
      assert.ok(reader.received.subarray(0, 1000).equals(chunk.subarray(0, 1000)));
      assert.equal(checked.space().buffer, reader.received.buffer);
    }
  });
});
