/**
 * The chunks on disk that are not evicted before a time that an operator has named. A pinned row is taken out of the
 * eviction policy, so the policy can neither evict it nor has to pass it over. It returns to the policy when the pin ends.
 *
 * A pin holds against eviction only. It ends with its chunk when that is deleted: by a clear, a purge, a damaged file. It
 * also ends when the object is found to have another version.
 *
 * Invariants:
 * 1. The policy holds exactly the rows that are not pinned.
 * 2. bytes <= bytesMax, count <= countMax, and the lines of all pins fit in the pin file.
 * 3. There is no pin before the scan has ended: until then, the pins of the last run wait in #restored.
 */
import { assert } from "../../../base/assert.ts";
import type { Clock, Timer } from "../../../base/clock.ts";
import type { Logger } from "../../../base/logger.ts";
import { pages } from "../../../base/pages.ts";
import { isBelow, type ObjectPrefix } from "../../../chunk/object-prefix.ts";
import type { ChunkKey } from "../../chunk-store.ts";
import type { EvictionPolicy, NewPolicy } from "../../eviction/eviction-policy.ts";
import type { DiskIndex } from "../disk-index.ts";
import { type PinRecord, pinLine, pinLinesBytesMax, readPinFile, writePinFile } from "./pin-file.ts";

export interface DiskPinsOptions {
  readonly file: string;
  /** Parts of these two may be pinned. @see pinShareOf */
  readonly maxBytes: number;
  readonly maxChunks: number;
  readonly share: number;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** The pins of one object. */
export interface PinnedObject {
  readonly originId: string;
  readonly bucket: string;
  readonly objectKey: string;
  chunks: number;
  bytes: number;
  /** The earliest end. */
  untilMs: number;
}

interface Pin {
  record: PinRecord;
  readonly row: number;
  readonly sizeBytes: number;
  readonly lineBytes: number;
}

type PinnedIndex = Pick<DiskIndex, "hold" | "release" | "evictFirst">;

const pinsMax = 65_536;
/** A year. */
const pinMsMax = 366 * 24 * 3_600_000;
/** From a change until the file is written. */
const saveDelayMs = 1000;

export class DiskPins {
  readonly bytesMax: number;
  readonly countMax: number;
  readonly #options: DiskPinsOptions;
  readonly #pins = new Map<number, Pin>();
  readonly #rows = new Map<string, number>();
  #restored: PinRecord[] = [];
  #policy: EvictionPolicy | undefined;
  #index: PinnedIndex | undefined;
  #bytes = 0;
  #lineBytes = 0;
  /** No pin ends before. */
  #nextEndMs = Number.POSITIVE_INFINITY;
  #saveTimer: Timer | undefined;
  #saving: Promise<void> = Promise.resolve();
  #hasFailed = false;

  constructor(options: DiskPinsOptions) {
    const { file, maxBytes, maxChunks, share, logger } = options;
    this.#options = options;
    this.bytesMax = Math.floor(maxBytes * share);
    this.countMax = Math.min(pinsMax, Math.floor(maxChunks * share));
    const restored = readPinFile(file);
    if (restored) this.#restored = restored;
    else logger.warn({ file, see: pages.pins }, "The file of the pins is damaged; no chunk is pinned");
  }

  get bytes(): number {
    this.#endDue();
    return this.#bytes;
  }

  get count(): number {
    this.#endDue();
    return this.#pins.size;
  }

  has(path: string): boolean {
    return this.#rows.has(path);
  }

  /** The policy that `make` makes, without the rows that are pinned. To be used for one index. */
  policy(make: NewPolicy): NewPolicy {
    return (entries, rowsMax) => {
      const inner = make(entries, rowsMax);
      this.#policy = inner;
      return {
        insert: (row, ahead) => inner.insert(row, ahead),
        touch: (row) => {
          if (!this.#pins.has(row)) inner.touch(row);
        },
        supersede: (row) => {
          this.#unpin(row);
          inner.supersede(row);
        },
        remove: (row) => {
          if (!this.#forget(row)) inner.remove(row);
        },
        evict: (any) => {
          this.#endDue();
          return inner.evict(any);
        },
        reinsert: (row) => inner.reinsert(row),
        remembers: (hash) => inner.remembers(hash),
      };
    };
  }

  /** The scan has ended. Pins again what the last run has pinned, as far as it is there and fits. */
  restore(index: PinnedIndex): void {
    this.#index = index;
    for (const record of this.#restored) this.#add(record);
    this.#restored = [];
  }

  /** Pins a chunk, or makes its pin longer. Whether it is pinned until then: it is on disk, and the share has room. */
  pin({ version, index }: ChunkKey, untilMs: number): boolean {
    const { originId, bucket, objectKey } = version;
    const endMs = Math.min(untilMs, this.#options.clock.now() + pinMsMax);
    return this.#add({ path: version.chunkPath(index), originId, bucket, objectKey, untilMs: endMs });
  }

  /**
   * Ends the pins of the objects below `prefix`. Their chunks stay, until they are evicted. Pins of the last run count
   * without bytes before the end of the scan, because their sizes are not known then.
   */
  release(prefix: ObjectPrefix | undefined): { readonly chunks: number; readonly bytes: number } {
    this.#endDue();
    const restored = this.#restored.filter((record) => !isBelow(prefix, record));
    let [chunks, bytes] = [this.#restored.length - restored.length, 0];
    if (chunks > 0) this.#saveSoon();
    this.#restored = restored;
    for (const [row, { record, sizeBytes }] of this.#pins) {
      if (!isBelow(prefix, record)) continue;
      this.#unpin(row);
      chunks += 1;
      bytes += sizeBytes;
    }
    return { chunks, bytes };
  }

  /** The objects that have pins, in the order of the first pin of each. */
  objects(): PinnedObject[] {
    this.#endDue();
    const objects = new Map<string, PinnedObject>();
    for (const { record, sizeBytes } of this.#pins.values()) {
      const { originId, bucket, objectKey, untilMs } = record;
      const name = JSON.stringify([originId, bucket, objectKey]);
      const object = objects.get(name) ?? { originId, bucket, objectKey, chunks: 0, bytes: 0, untilMs };
      object.chunks += 1;
      object.bytes += sizeBytes;
      object.untilMs = Math.min(object.untilMs, untilMs);
      objects.set(name, object);
    }
    return [...objects.values()];
  }

  /** Writes what has changed. To be called once, after the last change. */
  async close(): Promise<void> {
    if (this.#saveTimer) this.#save();
    await this.#saving;
  }

  #add(record: PinRecord): boolean {
    const { clock } = this.#options;
    this.#endDue();
    const entry = this.#index?.hold(record.path);
    if (!entry) return false;
    this.#index?.release(entry);
    if (record.untilMs <= clock.now()) return false;
    const { row, sizeBytes } = entry;
    const pin = this.#pins.get(row);
    if (pin) {
      if (record.untilMs > pin.record.untilMs) {
        pin.record = record;
        this.#saveSoon();
      }
      return true;
    }
    const lineBytes = Buffer.byteLength(pinLine(record));
    const fits =
      this.#bytes + sizeBytes <= this.bytesMax &&
      this.#pins.size < this.countMax &&
      this.#lineBytes + lineBytes <= pinLinesBytesMax;
    if (!fits) return false;
    this.#index?.evictFirst(record.path, false);
    this.#policy?.remove(row);
    this.#pins.set(row, { record, row, sizeBytes, lineBytes });
    this.#rows.set(record.path, row);
    this.#bytes += sizeBytes;
    this.#lineBytes += lineBytes;
    this.#nextEndMs = Math.min(this.#nextEndMs, record.untilMs);
    this.#saveSoon();
    return true;
  }

  /** Returns the row to the policy, if it is pinned: like one that was stored just now, so that unused chunks go soon. */
  #unpin(row: number): void {
    if (this.#forget(row)) this.#policy?.insert(row);
  }

  /** Whether it was pinned. */
  #forget(row: number): boolean {
    const pin = this.#pins.get(row);
    if (!pin) return false;
    this.#pins.delete(row);
    this.#rows.delete(pin.record.path);
    this.#bytes -= pin.sizeBytes;
    this.#lineBytes -= pin.lineBytes;
    assert(this.#bytes >= 0 && this.#lineBytes >= 0, "a pin ends once");
    this.#saveSoon();
    return true;
  }

  /** Looks at all pins only when one may have ended. The chunks of a warm-up end together. */
  #endDue(): void {
    const nowMs = this.#options.clock.now();
    if (nowMs < this.#nextEndMs) return;
    this.#nextEndMs = Number.POSITIVE_INFINITY;
    for (const [row, { record }] of this.#pins) {
      if (record.untilMs <= nowMs) this.#unpin(row);
      else this.#nextEndMs = Math.min(this.#nextEndMs, record.untilMs);
    }
  }

  #saveSoon(): void {
    this.#saveTimer ??= this.#options.clock.timer(saveDelayMs, () => this.#save());
  }

  /** One write at a time. What changes meanwhile waits for the next one. */
  #save(): void {
    const { file, logger } = this.#options;
    this.#saveTimer?.cancel();
    this.#saveTimer = undefined;
    this.#saving = this.#saving
      .then(() =>
        writePinFile(file, [...this.#restored, ...Array.from(this.#pins.values(), ({ record }) => record)]),
      )
      .then(
        () => {
          this.#hasFailed = false;
        },
        (error: NodeJS.ErrnoException) => {
          if (!this.#hasFailed)
            logger.warn({ file, code: error.code, see: pages.pins }, "Cannot write the file of the pins");
          this.#hasFailed = true;
        },
      );
  }
}
