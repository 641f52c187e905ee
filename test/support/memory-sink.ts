/**
 * A ByteSink over one plain buffer that holds a driver to the contract of that interface. It hands out space that
 * ends at every 1 MiB, as Orca's segments do, and it writes down misuse instead of throwing, because a driver under
 * test could swallow what is thrown into it.
 */
import assert from "node:assert/strict";
import type { PlacedSink } from "../../src/base/byte-sink.ts";
import { segmentSizeBytes } from "../../src/base/memory-budget.ts";

const poison = 0xdb;

export class MemorySink implements PlacedSink {
  readonly lengthBytes: number;
  /** Called after each advance with the bytes received so far; a test aborts or overwrites from here. */
  onAdvance: (receivedBytes: number) => void = () => {};
  readonly #bytes: Buffer;
  readonly #faults: string[] = [];
  #receivedBytes = 0;
  #spaceBytes = 0;
  #settled = false;

  constructor(lengthBytes: number) {
    this.lengthBytes = lengthBytes;
    this.#bytes = Buffer.from(new SharedArrayBuffer(lengthBytes));
  }

  get receivedBytes(): number {
    return this.#receivedBytes;
  }

  /** The bytes received so far, in place. */
  get received(): Buffer {
    return this.#bytes.subarray(0, this.#receivedBytes);
  }

  space(): Buffer {
    const space = this.#spaceAt(this.#receivedBytes);
    this.#spaceBytes = space.length;
    return space;
  }

  spaceAhead(aheadBytes: number): Buffer {
    return this.#spaceAt(this.#receivedBytes + aheadBytes);
  }

  advance(lengthBytes: number): void {
    if (this.#settled) this.#faults.push("advance() after the read had settled");
    if (lengthBytes < 0 || lengthBytes > this.#spaceBytes) {
      this.#faults.push(`advance(${lengthBytes}) into a space of ${this.#spaceBytes} bytes`);
    }
    this.#receivedBytes += lengthBytes;
    this.#spaceBytes = 0;
    this.onAdvance(this.#receivedBytes);
  }

  /** To be called as soon as the read has settled: from now on every touch is a fault, calls and stray writes alike. */
  settle(): void {
    this.#settled = true;
    this.#bytes.fill(poison, this.#receivedBytes);
  }

  #spaceAt(start: number): Buffer {
    const segmentEnd = start - (start % segmentSizeBytes) + segmentSizeBytes;
    const space = this.#bytes.subarray(start, Math.min(segmentEnd, this.lengthBytes));
    if (this.#settled) this.#faults.push("space() after the read had settled");
    if (space.length === 0) this.#faults.push("space() when no byte was owed");
    return space;
  }

  /** Fails with every misuse so far. */
  assertUntouched(): void {
    assert.deepEqual(this.#faults, [], "a driver keeps to the contract of ByteSink");
    if (!this.#settled) return;
    const rest = this.#bytes.subarray(this.#receivedBytes);
    assert.ok(
      rest.equals(Buffer.alloc(rest.length, poison)),
      "no byte is written after the read has settled",
    );
  }
}
